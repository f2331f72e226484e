package fault

// Everything that can go wrong on the way into git.
const (
	RemoteUnreachable      Code = "remote_unreachable"
	RemoteTLS              Code = "remote_tls"
	TokenRejected          Code = "token_rejected"
	GroupMissing           Code = "group_missing"
	GroupForbidden         Code = "group_forbidden"
	RateLimited            Code = "rate_limited"
	RemoteReadOnly         Code = "remote_read_only"
	RemoteForbidden        Code = "remote_forbidden"
	RemoteDown             Code = "remote_down"
	RemoteStorageFull      Code = "remote_storage_full"
	CreationBudgetSpent    Code = "creation_budget_spent"
	RemoteError            Code = "remote_error"
	RemoteTimeout          Code = "remote_timeout"
	ConnectionCut          Code = "connection_cut"
	RepositoryBusy         Code = "repository_busy"
	HeadMoved              Code = "head_moved"
	InternalError          Code = "internal_error"
	HookDeclined           Code = "hook_declined"
	BranchProtected        Code = "branch_protected"
	PushForbidden          Code = "push_forbidden"
	QuotaExceeded          Code = "quota_exceeded"
	RepositoryMissing      Code = "repository_missing"
	PushRefused            Code = "push_refused"
	ForeignCommit          Code = "foreign_commit"
	ServerUnsupported      Code = "server_unsupported"
	GitLabRefused          Code = "gitlab_refused"
	ProjectPendingDeletion Code = "project_pending_deletion"
	ProjectTitleTaken      Code = "project_title_taken"
	ProjectMoved           Code = "project_moved"
	ProjectArchived        Code = "project_archived"
	PathInvalid            Code = "path_invalid"
	TitleInvalid           Code = "title_invalid"
	ARCTooLarge            Code = "arc_too_large"
	ContentRejected        Code = "content_rejected"
	ARCUnconvertible       Code = "arc_unconvertible"
	LeaseLost              Code = "lease_lost"
	PushInterrupted        Code = "push_interrupted"
	PushCrashes            Code = "push_crashes"
)

// pushes is the part of the table that a push can end with, in the order of the
// manual.
var pushes = []Definition{
	{RemoteUnreachable, Incident, "The git server cannot be reached.", OwnerDataHUB,
		"Check that the server runs and that this host can resolve its name and connect to it; pushing resumes by itself", 0},
	{RemoteTLS, Incident, "The git server's certificate is not accepted.", OwnerDataHUB,
		"Renew the server's certificate, or install its authority on this host (update-ca-certificates); pushing resumes by itself", 0},
	{TokenRejected, Incident, "The git server does not accept the access token.", OwnerOperator,
		"Create a new group access token (role maintainer, scopes api and write_repository), write it to /etc/middleware-api/credentials/gitlab-token and run: systemctl restart middleware-api-sync; pushing then resumes by itself", 0},
	{GroupMissing, Incident, "The configured group does not exist or is hidden from the access token.", OwnerOperator,
		"Create the group, or correct the key group; the token has to belong to this group", 0},
	{GroupForbidden, Incident, "The access token may not look up or create projects in the configured group.", OwnerOperator,
		"Give the token the role maintainer in the group and the scope api, and let that role create projects (settings of the group, permissions); pushing resumes by itself", 0},
	{RateLimited, Incident, "The git server asks for fewer requests.", OwnerNobody,
		"Nothing to do; pushing resumes when the server allows it", 0},
	{RemoteReadOnly, Incident, "The git server takes no pushes at the moment.", OwnerDataHUB,
		"End its maintenance, look at its disk (dmesg), or let the configuration lead to the primary if it is a copy; pushing resumes by itself", 0},
	{RemoteForbidden, Incident, "The git server lets us write to no repository.", OwnerOperator,
		"Give the account of the token its role in the group back (maintainer, scopes api and write_repository), or have it unblocked; local repositories have to belong to the user of the synchroniser. Pushing resumes by itself", 0},
	{RemoteDown, Incident, "The git server fails for every ARC.", OwnerDataHUB,
		"Check the git server; pushing resumes by itself", 0},
	{RemoteStorageFull, Incident, "The git server's disk is full.", OwnerDataHUB,
		"Free or add disk space where the repositories are; pushing resumes by itself", 0},
	{CreationBudgetSpent, Transient, "The budget for new projects is spent for now.", OwnerNobody,
		"Nothing to do; the project is created when the budget allows it", 0},
	{RemoteError, Transient, "The git server answered with an internal error.", OwnerDataHUB,
		"Tried again by itself; look into the git server's log if it stays", 0},
	{RemoteTimeout, Transient, "The git server took too long.", OwnerDataHUB,
		"Tried again by itself; raise command_timeout if large ARCs need longer", 0},
	{ConnectionCut, Transient, "The connection to the git server broke.", OwnerDataHUB,
		"Tried again by itself", 0},
	{RepositoryBusy, Transient, "The repository is in use by another process.", OwnerNobody,
		"Tried again by itself; if it stays, remove a stale *.lock file in the repository on the git server", 0},
	{HeadMoved, Transient, "The branch moved while the push was under way.", OwnerNobody,
		"Tried again by itself", 0},
	{LeaseLost, Transient, "Another synchroniser has taken this ARC over.", OwnerNobody,
		"Nothing to do; that one pushes it", 0},
	{PushInterrupted, Transient, "The synchroniser ended or was cut off during the push.", OwnerNobody,
		"Nothing to do, it is pushed again; if it repeats, look at journalctl -u middleware-api-sync", 0},
	{InternalError, Transient, "The service failed for a reason inside itself.", OwnerOperator,
		"Tried again by itself; report the lines of the journal (journalctl -u 'middleware-api*') if it stays", 0},
	{HookDeclined, Refused, "A hook or push rule of the repository declined the push.", OwnerDataHUB,
		"Look at the hook's message in the journal of middleware-api-sync, change the rule, then run: middleware-api resync ARC", 0},
	{BranchProtected, Refused, "The branch is protected against our access token.", OwnerDataHUB,
		"Allow the token's role to push to the branch (project settings, protected branches), then run: middleware-api resync ARC", 0},
	{PushForbidden, Refused, "The access token may not write to this repository.", OwnerOperator,
		"Give the token the role maintainer and the scopes api and write_repository, then run: middleware-api resync ARC", 0},
	{QuotaExceeded, Refused, "The repository has reached its size limit.", OwnerDataHUB,
		"Raise the limit of the project or group, then run: middleware-api resync ARC", 0},
	{RepositoryMissing, Refused, "The repository does not exist or is hidden from the access token.", OwnerOperator,
		"Create it, or configure a token so that projects are created; then run: middleware-api resync ARC", 0},
	{PushRefused, Refused, "The git server refused the push.", OwnerDataHUB,
		"Look at the server's message in the journal of middleware-api-sync, then run: middleware-api resync ARC", 0},
	{ForeignCommit, Refused, "Somebody else has changed the repository.", OwnerOperator,
		"Agree with the author what shall stay; set on_foreign_commit to overwrite_on_top or keep, or take their commit back; then run: middleware-api resync ARC", 0},
	{ServerUnsupported, Refused, "The repository uses a format that cannot be pushed to.", OwnerDataHUB,
		"Create the repository with the object format sha1, then run: middleware-api resync ARC", 0},
	{GitLabRefused, Refused, "GitLab refused to create or change the project.", OwnerOperator,
		"Look at GitLab's message in the journal of middleware-api-sync, then run: middleware-api resync ARC", 0},
	{ProjectPendingDeletion, Refused, "The project is marked for deletion.", OwnerDataHUB,
		"Restore the project in GitLab, or delete it for good; then run: middleware-api resync ARC", 0},
	{ProjectTitleTaken, Refused, "Another project of the group has the same title.", OwnerDataHUB,
		"Rename or delete the other project in GitLab; then run: middleware-api resync ARC", 0},
	{ProjectMoved, Refused, "The project was moved out of the configured group.", OwnerDataHUB,
		"Move the project back into the group, or delete it at its new place; then run: middleware-api resync ARC", 0},
	{ProjectArchived, Refused, "The project is archived and takes no pushes.", OwnerDataHUB,
		"Unarchive the project in GitLab; then run: middleware-api resync ARC", 0},
	{PathInvalid, Invalid, "A file of the ARC has a name that git cannot keep.", OwnerRDI,
		"Rename the study, assay, workflow, run or licence file and send the ARC again", 0},
	{TitleInvalid, Invalid, "The identifier holds no character that GitLab allows in a title.", OwnerRDI,
		"Use an identifier with at least one Latin letter or digit and send the ARC again", 0},
	{ARCTooLarge, Invalid, "The ARC is larger than what may be pushed.", OwnerRDI,
		"Send a smaller ARC, or ask the operator to raise the limit", 0},
	{ContentRejected, Invalid, "The git server found the content of the ARC faulty.", OwnerRDI,
		"Look at the findings, correct the ARC and send it again", 0},
	{ARCUnconvertible, Invalid, "The RO-Crate cannot be converted into an ARC.", OwnerRDI,
		"Correct what the findings name and send the ARC again", 0},
	{PushCrashes, Invalid, "The synchroniser ended in the middle of pushing this ARC, time after time.", OwnerOperator,
		"Look at journalctl -u middleware-api-sync for a crash or the kernel's out-of-memory killer, give the unit more memory (MemoryMax) or report the crash; then run: middleware-api resync ARC", 0},
}

// OfPushes lists the codes that a push can end with: the failures of ARCs and
// the incidents of a remote.
func OfPushes() []Definition { return append([]Definition(nil), pushes...) }
