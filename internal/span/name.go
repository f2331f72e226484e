package span

// The names of the steps, as the earlier generations called them, so that
// searches and dashboards of theirs go on to work. What a step knows about
// itself stands behind its name.
const (
	Submit     = "api.ArcManager.create_or_update_arc"      // rdi, client_id, arc_id, success
	Sync       = "api.ArcManager.sync_to_gitlab"            // rdi, arc_id, attempt, success
	StorePut   = "api.ArcStore.create_or_update"            // arc_id, rdi
	GitWrite   = "api.GitRepo._create_or_update:arc_write"  // files are laid out
	GitPush    = "api.GitRepo._create_or_update"            // arc_id, rdi; event git.expected_failure
	GitExists  = "api.GitRepo._exists"                      // arc_id, exists
	GitRefs    = "api.GitRepo._exists:ls-remote"            // what is at the remote
	GitCommit  = "api.GitContext.commit_and_push"           // git.dirty
	GitAdd     = "api.GitContext.commit_and_push:add"       // objects are made
	GitSeal    = "api.GitContext.commit_and_push:commit"    // the commit is made
	GitFetched = "api.GitContext._run_git_command:fetch"    // git.action
	GitPushed  = "api.GitContext._run_git_command:push"     // git.action
	Ensure     = "api.GitlabGitProvider.ensure_repo_exists" // arc_id, group
	Project    = "api.GitlabApi._get_or_create_project"     // arc_id
	Find       = "api.GitlabApi._find_project"              // arc_id
	OldHead    = "api.GitlabApi._load_old_hash"             // the head of the branch
	Files      = "api.GitlabApi._get_existing_files"        // project_id
	Actions    = "api.GitlabApi._prepare_file_actions"      // existing_files_count, actions_count
	Commit     = "api.GitlabApi._commit_actions"            // arc_id, num_actions
	Chunk      = "api.GitlabApi._commit_actions:chunk"      // arc_id, chunk_num, chunk_size
)
