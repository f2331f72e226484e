package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

//go:embed sample.json
var sampleCrate []byte

// syncLimit bounds the wait for the sample's commit.
const syncLimit = 30 * time.Second

// arcState is the part of the answers that we show.
type arcState struct {
	ARCID  string `json:"arc_id"`
	Status string `json:"status"`
	Git    struct {
		State     string `json:"state"`
		Commit    string `json:"commit"`
		LastError any    `json:"last_error"`
	} `json:"git"`
}

// showSample uploads the sample and tells what became of it.
func showSample(ctx context.Context, at layout) error {
	step("uploading the sample ARC of RDI %q", demoRDI)
	body, err := json.Marshal(map[string]any{"rdi": demoRDI, "arc": json.RawMessage(sampleCrate)})
	if err != nil {
		return err
	}
	answer, err := call(ctx, http.MethodPost, "http://"+at.listen+"/v3/arcs", body)
	if err != nil {
		return err
	}
	fmt.Printf("    %s\n", answer)
	var arc arcState
	if err := json.Unmarshal(answer, &arc); err != nil {
		return err
	}
	state, err := waitSynced(ctx, at, arc.ARCID)
	if err != nil {
		return err
	}
	repository := filepath.Join(at.repos, demoRDI, arc.ARCID+".git")
	files, err := gitOutput(ctx, repository, "ls-tree", "-r", "--name-only", state.Git.Commit)
	if err != nil {
		return fmt.Errorf("list the files of %s: %w", repository, err)
	}
	step("in git: %s, commit %s", rel(at, repository), state.Git.Commit)
	for file := range strings.SplitSeq(files, "\n") {
		fmt.Printf("    %s\n", file)
	}
	step("ready. To look further:")
	for _, hint := range []struct{ about, command string }{
		{"what is known of the ARC", fmt.Sprintf("curl http://%s/v3/arcs/%s", at.listen, arc.ARCID)},
		{"the ARC folder", fmt.Sprintf("git clone %s sample", rel(at, repository))},
		{"upload a crate", fmt.Sprintf(`curl -H 'Content-Type: application/json' -d '{"rdi": "%s", "arc": CRATE}' http://%s/v3/arcs`, demoRDI, at.listen)},
		{"everything at one look", "bin/middleware-api status --config " + rel(at, at.config)},
		{"the same as a page", fmt.Sprintf("http://%s/console", at.listen)},
		{"the interface described", fmt.Sprintf("http://%s/docs", at.listen)},
		{"an ARC folder without server", "bin/middleware-api convert CRATE.json DIR"},
		{"stop; the data stays in ./.run", "Ctrl-C"},
	} {
		fmt.Printf("    %-32s%s\n", hint.about, hint.command)
	}
	return nil
}

// waitSynced waits for the newest version to be in git.
func waitSynced(ctx context.Context, at layout, id string) (arcState, error) {
	ctx, cancel := context.WithTimeout(ctx, syncLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := call(ctx, http.MethodGet, "http://"+at.listen+"/v3/arcs/"+id, nil)
		if err != nil {
			return arcState{}, err
		}
		var arc arcState
		if err := json.Unmarshal(answer, &arc); err != nil {
			return arcState{}, err
		}
		if arc.Git.State == "synced" {
			return arc, nil
		}
		select {
		case <-ctx.Done():
			return arcState{}, fmt.Errorf("the sample is not in git after %s; last answer: %s", syncLimit, answer)
		case <-tick.C:
		}
	}
}

// call does one request and gives the body of a 2xx answer.
func call(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true // an idle connection would hold up the service's drain
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, answer)
	}
	return answer, nil
}
