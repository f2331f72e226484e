package gitsync

import (
	"strings"
	"testing"
	"time"
)

// A loop that stays in one step beyond its limit is told by the step; a step
// without a limit may last.
func TestPulseTellsALoopThatHangs(t *testing.T) {
	t.Parallel()
	var p pulse
	p.enter("claiming due ARCs", time.Minute)
	if err := p.check(time.Now().Add(50 * time.Second)); err != nil {
		t.Errorf("before its limit: %v", err)
	}
	if err := p.check(time.Now().Add(2 * time.Minute)); err == nil || !strings.Contains(err.Error(), "claiming due ARCs for 2m0s") {
		t.Errorf("after its limit: %v", err)
	}
	p.enter("waiting for a push to end", 0)
	if err := p.check(time.Now().Add(24 * time.Hour)); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}
