package fault_test

import (
	"errors"
	"regexp"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Every code is listed once, is spelled like the others, and says what
// happened, who can mend it and how.
func TestCodesAreComplete(t *testing.T) {
	t.Parallel()
	seen := map[fault.Code]bool{}
	for _, d := range fault.Codes() {
		if seen[d.Code] {
			t.Errorf("%s is listed twice", d.Code)
		}
		seen[d.Code] = true
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(string(d.Code)) {
			t.Errorf("%q is not spelled like a code", d.Code)
		}
		if d.Text == "" || d.Remedy == "" || d.Owner == "" || d.Class == "" {
			t.Errorf("%s is not complete: %+v", d.Code, d)
		}
	}
}

// A fault carries the words of its code and hides its cause from clients.
func TestNewTakesTheWordsOfTheTable(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial: secret host")
	f := fault.New(fault.StoreUnavailable, cause)
	if f.Text == "" || f.Remedy == "" || f.RetryAfter == 0 || f.Owner != fault.OwnerOperator || !errors.Is(f, cause) {
		t.Errorf("got %+v", f)
	}
	if g := f.WithText("other"); g.Text != "other" || f.Text == "other" || g.Code != f.Code {
		t.Errorf("WithText: got %+v from %+v", g, f)
	}
	if got, want := f.Error(), "store_unavailable: The database cannot be reached at the moment: dial: secret host"; got != want {
		t.Errorf("for the log: got %q, want %q", got, want)
	}
	if got := fault.CodeOf(errors.Join(errors.New("x"), f)); got != fault.StoreUnavailable {
		t.Errorf("code of a chain: got %s", got)
	}
}
