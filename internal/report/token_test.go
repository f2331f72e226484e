package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// The status is yellow two weeks before the access token of a synchroniser ends
// and red when it has, says so once for all hosts, and not to guests. The metric has the days.
func TestStatusWarnsOfTokens(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		token  store.Token
		light  report.Light
		says   []string
		metric string
	}{
		"unknown":   {store.Token{}, report.Green, []string{"just now just now 0 -"}, ""},
		"endless":   {store.Token{Name: "t"}, report.Green, []string{"0 no end"}, ""},
		"far":       {store.Token{Name: "t", Ends: time.Now().Add(15*day + time.Hour)}, report.Green, []string{"0 15 days left"}, "} 15.04"},
		"near":      {store.Token{Name: "t", Ends: time.Now().Add(9*day + time.Hour)}, report.Yellow, []string{`* The access token "t" ends on `, ", in 9 days; nothing can be pushed then.", "-> Create a new group access token", "gitlab-token", "0 9 days left"}, "} 9.04"},
		"last day":  {store.Token{Name: "t", Ends: time.Now().Add(time.Hour)}, report.Yellow, []string{"in less than a day", "0 days left"}, "} 0.04"},
		"ended":     {store.Token{Name: "t", Ends: time.Now().Add(-25 * time.Hour)}, report.Red, []string{`* The access token "t" has ended on `, "systemctl restart middleware-api-sync", "0 ended"}, "} -1.04"},
		"revoked":   {store.Token{Name: "t", Ends: time.Now().Add(99 * day), Refused: true}, report.Red, []string{`* The access token "t" is refused by the git server; nothing can be pushed.`, "0 refused"}, "} 0"},
		"never was": {store.Token{Refused: true}, report.Red, []string{`* The access token is refused by the git server`, "0 refused"}, "} 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			for _, host := range []string{"a", "b"} {
				if err := s.Beat(t.Context(), store.Synchroniser{Holder: host + "/1", Host: host, Remote: "git", Token: c.token}); err != nil {
					t.Fatal(err)
				}
			}
			status := report.CollectStatus(t.Context(), s, report.StatusOptions{Tokens: true})
			reasons := 0
			if c.light != report.Green {
				reasons = 1
			}
			if status.Light != c.light || len(status.Reasons) != reasons {
				t.Errorf("light %s because of %v", status.Light, status.Reasons)
			}
			has(t, text(t, status), c.says...)
			if guest := report.CollectStatus(t.Context(), s, report.StatusOptions{}); guest.Light != report.Green || guest.Synchronisers[0].Token != nil {
				t.Errorf("a guest sees %s, %+v", guest.Light, guest.Synchronisers[0])
			}
			got := scrape(t, s)
			for _, host := range []string{"a", "b"} {
				series := `middleware_api_token_days{host="` + host + `",remote="git",worker="1"`
				if want := series + c.metric; strings.Contains(got, series) != (c.metric != "") || c.metric != "" && !strings.Contains(got, want) {
					t.Errorf("metrics lack %s:\n%s", want, got)
				}
			}
			// The pause tells of a token that is refused, not of another host's that will end.
			pausedReasons := 1
			if c.light == report.Yellow {
				pausedReasons = 2
			}
			if err := s.PauseRemote(t.Context(), "git", fault.New(fault.TokenRejected, nil), time.Minute); err != nil {
				t.Fatal(err)
			}
			if status := report.CollectStatus(t.Context(), s, report.StatusOptions{Tokens: true}); len(status.Reasons) != pausedReasons {
				t.Errorf("with a refused token %d reasons, want %d: %v", len(status.Reasons), pausedReasons, status.Reasons)
			}
		})
	}
}
