package report

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/store"
)

// Facts is what a status is made of; a *store.Store has them.
type Facts interface {
	Ready(ctx context.Context) error
	Totals(ctx context.Context) ([]store.Total, error)
	Backlog(ctx context.Context, rdis ...string) ([]store.Backlog, error)
	Causes(ctx context.Context, rdis ...string) ([]store.Cause, error)
	Remotes(ctx context.Context) ([]store.Remote, error)
	Synchronisers(ctx context.Context) ([]store.Synchroniser, error)
	Forecasts(ctx context.Context) ([]store.Forecast, error)
	Harvests(ctx context.Context, f store.HarvestFilter) ([]store.Harvest, error)
}

// Limits say from when on a wait is worth a light.
type Limits struct {
	Late    time.Duration // yellow: the oldest ARC waits for git so long
	TooLate time.Duration // red
}

// DefaultLimits are those of the alerts in the package.
var DefaultLimits = Limits{Late: 10 * time.Minute, TooLate: time.Hour}

// StatusOptions say what a status looks at beside the database.
type StatusOptions struct {
	Fleet  *Fleet    // nil where there is no systemd
	RDIs   []string  // whose harvests are shown even if they have no ARC yet
	Only   []string  // shows nothing but these RDIs; nil for everything
	Also   []Reason  // what else was found, see Reasons
	Limits Limits    // zero for DefaultLimits
	Now    time.Time // zero for the current time
	// Certificates are those that the service shows to clients or believes.
	Certificates []Certificate
	// Tokens says that whoever looks may know about the access tokens.
	Tokens bool
}

// Status is one look at the service.
type Status struct {
	At            time.Time      `json:"at"`
	Light         Light          `json:"light"`
	Reasons       []Reason       `json:"reasons"`
	Fleet         *Fleet         `json:"fleet,omitempty"`
	Database      Database       `json:"database"`
	RDIs          []RDI          `json:"rdis"`
	Remotes       []Remote       `json:"remotes"`
	Synchronisers []Synchroniser `json:"synchronisers"`
	Creations     []Creation     `json:"creations"`
	Harvests      []Harvest      `json:"harvests"`
	Causes        []CauseRow     `json:"causes"`
	// Certificates are those of the service itself; empty where a proxy ends TLS.
	Certificates []Certificate `json:"certificates,omitempty"`
}

// Database says whether PostgreSQL can be used.
type Database struct {
	OK     bool   `json:"ok"`
	Text   string `json:"text,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// RDI is the backlog of one RDI.
type RDI struct {
	Name    string    `json:"name"`
	ARCs    int64     `json:"arcs"`
	Due     int64     `json:"due"`
	Failing int64     `json:"failing"`
	Parked  int64     `json:"parked"`
	Oldest  time.Time `json:"oldest,omitzero"` // change of the ARC that is due or failing for longest
}

// Remote is a place where ARCs go.
type Remote struct {
	Name      string      `json:"name"`
	Paused    bool        `json:"paused"`
	Since     time.Time   `json:"since,omitzero"`
	ByHand    bool        `json:"by_hand,omitempty"`
	Code      fault.Code  `json:"code,omitempty"`
	Text      string      `json:"text,omitempty"`
	Owner     fault.Owner `json:"owner,omitempty"`
	Remedy    string      `json:"remedy,omitempty"`
	NextProbe time.Time   `json:"next_probe,omitzero"`
}

// Harvest is a recent harvest.
type Harvest struct {
	ID        uuid.UUID           `json:"id"`
	RDI       string              `json:"rdi"`
	Status    store.HarvestStatus `json:"status"`
	StartedAt time.Time           `json:"started_at"`
	EndedAt   time.Time           `json:"ended_at,omitzero"`
	Expected  int64               `json:"expected,omitempty"`
	Submitted int64               `json:"submitted"`
	New       int64               `json:"new"`
	Updated   int64               `json:"updated"`
	Missing   int64               `json:"missing"`
	Errors    int64               `json:"errors"`
	Note      string              `json:"note,omitempty"`
}

// CollectStatus looks at everything. A database that does not answer is part
// of the answer and no error.
func CollectStatus(ctx context.Context, facts Facts, o StatusOptions) *Status {
	if o.Limits == (Limits{}) {
		o.Limits = DefaultLimits
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	s := &Status{
		At: o.Now, Light: Green, Fleet: o.Fleet, Certificates: o.Certificates,
		Reasons: []Reason{}, RDIs: []RDI{}, Remotes: []Remote{}, Synchronisers: []Synchroniser{},
		Creations: []Creation{}, Harvests: []Harvest{}, Causes: []CauseRow{},
	}
	if err := s.read(ctx, facts, o); err != nil {
		s.Database = broken(err)
		s.because(Red, s.Database.Text, s.Database.Remedy)
	} else {
		s.Database = Database{OK: true}
	}
	s.judge(o.Limits)
	for _, r := range o.Also {
		s.because(r.Light, r.Text, r.Remedy)
	}
	return s
}

// broken words what keeps the database from being used.
func broken(err error) Database {
	if f, ok := fault.Of(err); ok {
		return Database{Text: f.Text, Remedy: f.Remedy}
	}
	return Database{Text: "The database cannot be read.", Remedy: "middleware-api doctor"}
}

func (s *Status) read(ctx context.Context, facts Facts, o StatusOptions) error {
	if err := facts.Ready(ctx); err != nil {
		return err
	}
	if err := s.readBacklog(ctx, facts, o.Only); err != nil {
		return err
	}
	remotes, err := facts.Remotes(ctx)
	if err != nil {
		return err
	}
	for _, r := range remotes {
		s.Remotes = append(s.Remotes, Remote{
			Name: r.Name, Paused: r.Paused, Since: r.PausedAt, ByHand: r.ByHand, Code: r.Code, Text: clean(r.Text),
			Owner: r.Owner, Remedy: clean(r.Remedy), NextProbe: r.NextProbe,
		})
	}
	if err := s.readSynchronisers(ctx, facts, o.Tokens); err != nil {
		return err
	}
	causes, err := CollectCauses(ctx, facts, o.Only...)
	if err != nil {
		return err
	}
	s.Causes = causes.Causes
	return s.readHarvests(ctx, facts, o)
}

func (s *Status) readBacklog(ctx context.Context, facts Facts, only []string) error {
	totals, err := facts.Totals(ctx)
	if err != nil {
		return err
	}
	place := map[string]int{}
	for _, t := range totals {
		if only != nil && !slices.Contains(only, t.RDI) {
			continue
		}
		place[t.RDI] = len(s.RDIs)
		s.RDIs = append(s.RDIs, RDI{Name: t.RDI, ARCs: t.Count})
	}
	backlog, err := facts.Backlog(ctx, only...)
	if err != nil {
		return err
	}
	for _, b := range backlog {
		i, ok := place[b.RDI]
		if !ok { // came between the two questions
			i = len(s.RDIs)
			place[b.RDI] = i
			s.RDIs = append(s.RDIs, RDI{Name: b.RDI, ARCs: b.Count})
		}
		s.RDIs[i].add(b)
	}
	return nil
}

func (r *RDI) add(b store.Backlog) {
	switch b.State {
	case store.Parked:
		r.Parked += b.Count
		return // waits for somebody, so its age is no sign of a jam
	case store.Failing:
		r.Failing += b.Count
	default:
		r.Due += b.Count
	}
	if r.Oldest.IsZero() || b.Oldest.Before(r.Oldest) {
		r.Oldest = b.Oldest
	}
}

// recentHarvests is how many harvests a status shows.
const recentHarvests = 5

func (s *Status) readHarvests(ctx context.Context, facts Facts, o StatusOptions) error {
	names := slices.Clone(o.Only)
	if o.Only == nil {
		names = slices.Clone(o.RDIs)
		for _, r := range s.RDIs {
			names = append(names, r.Name)
		}
	}
	list, err := facts.Harvests(ctx, store.HarvestFilter{RDIs: unique(names), Limit: recentHarvests})
	if err != nil {
		return err
	}
	for i := range list {
		s.Harvests = append(s.Harvests, harvest(&list[i]))
	}
	return nil
}

func unique(names []string) []string {
	seen := map[string]bool{}
	list := []string{}
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			list = append(list, name)
		}
	}
	return list
}

func harvest(h *store.Harvest) Harvest {
	c := h.Statistics
	out := Harvest{
		ID: h.ID, RDI: h.RDI, Status: h.Status, StartedAt: h.StartedAt, Submitted: c.Submitted(),
		New: c.New, Updated: c.Updated, Missing: c.Missing, Errors: c.Errors, Note: clean(h.Note),
	}
	if h.CompletedAt != nil {
		out.EndedAt = *h.CompletedAt
	}
	if h.Expected != nil {
		out.Expected = *h.Expected
	}
	return out
}

// SeeCauses is the remedy where what there is to do depends on the causes.
const SeeCauses = "middleware-api causes"

// because turns the light to at least the given one.
func (s *Status) because(light Light, text, remedy string) {
	s.Light = worst(s.Light, light)
	s.Reasons = append(s.Reasons, Reason{Light: light, Text: text, Remedy: remedy})
}

// judge finds the reasons for a light other than green.
func (s *Status) judge(limits Limits) {
	if s.Fleet != nil {
		for _, r := range s.Fleet.reasons() {
			s.because(r.Light, r.Text, r.Remedy)
		}
	}
	s.judgeSynchronisers()
	s.judgeTokens()
	for _, c := range s.Certificates {
		if c.Light != Green {
			s.because(c.Light, c.Text+".", c.Remedy)
		}
	}
	for _, r := range s.Remotes {
		switch {
		case r.ByHand:
			s.because(Yellow, fmt.Sprintf("The git store %q was paused by hand %s: %s", r.Name, Ago(s.At, r.Since), r.Text), "middleware-api resume "+r.Name)
		case r.Paused:
			s.because(Red, fmt.Sprintf("The git store %q has been paused for %s: %s", r.Name, Span(s.At.Sub(r.Since)), r.Text), r.Remedy)
		}
	}
	var parked, failing int64
	var oldest time.Time
	for _, r := range s.RDIs {
		parked += r.Parked
		failing += r.Failing
		if !r.Oldest.IsZero() && (oldest.IsZero() || r.Oldest.Before(oldest)) {
			oldest = r.Oldest
		}
	}
	if age := s.At.Sub(oldest); !oldest.IsZero() && age >= limits.Late {
		light := Yellow
		if age >= limits.TooLate {
			light = Red
		}
		s.because(light, "The oldest ARC that is not in git yet has been waiting for "+Span(age)+".", "middleware-api causes; systemctl status middleware-api-sync")
	}
	if parked > 0 {
		s.because(Yellow, plural(parked, "ARC")+" cannot be pushed until somebody does something.", SeeCauses)
	}
	for _, c := range s.Causes {
		if c.Code == fault.CreationBudgetSpent {
			failing -= c.Count // they wait for their turn, as foretold
		}
	}
	if failing > 0 {
		s.because(Yellow, plural(failing, "ARC")+" failed and will be tried again.", SeeCauses)
	}
}

// Write writes the status for a terminal.
func (s *Status) Write(w io.Writer) error {
	out := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	headline := map[Light]string{Green: "everything is fine", Yellow: "somebody should look at this", Red: "the service is in trouble"}
	fmt.Fprintf(out, "%s: %s (%s)\n", s.Light, headline[s.Light], s.At.Format(time.DateTime))
	for _, r := range s.Reasons {
		lines(out, "  ", "* "+r.Text)
		if r.Remedy != "" {
			lines(out, "    ", "-> "+r.Remedy)
		}
	}
	if s.Fleet != nil {
		s.Fleet.write(out, s.At)
	}
	if s.Database.OK {
		s.writeRDIs(out)
		s.writeRemotes(out)
		s.writeSynchronisers(out)
		s.writeHarvests(out)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

func (s *Status) writeRDIs(w io.Writer) {
	fmt.Fprintln(w, "\nRDI\tARCs\tdue\tfailing\tparked\toldest not in git")
	if len(s.RDIs) == 0 {
		fmt.Fprintln(w, "(no ARC was ever uploaded)")
	}
	for _, r := range s.RDIs {
		oldest := "-"
		if !r.Oldest.IsZero() {
			oldest = Span(s.At.Sub(r.Oldest))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\n", clean(r.Name), r.ARCs, r.Due, r.Failing, r.Parked, oldest)
	}
}

func (s *Status) writeRemotes(w io.Writer) {
	if len(s.Remotes) == 0 {
		fmt.Fprintln(w, "\ngit store: nothing was ever wrong with it")
	}
	for _, r := range s.Remotes {
		if !r.Paused {
			fmt.Fprintf(w, "\ngit store %s: working\n", r.Name)
			continue
		}
		fmt.Fprintf(w, "\ngit store %s: paused for %s, code %s, for %s to mend", r.Name, Span(s.At.Sub(r.Since)), r.Code, OwnerName(r.Owner))
		if !r.NextProbe.IsZero() {
			fmt.Fprintf(w, "; next probe %s", Until(s.At, r.NextProbe))
		}
		fmt.Fprintln(w)
	}
}

func (s *Status) writeHarvests(w io.Writer) {
	if len(s.Harvests) == 0 {
		return
	}
	writeHarvests(w, "\nlast harvests", s.At, s.Harvests)
}

// OwnerName words who can mend something.
func OwnerName(o fault.Owner) string {
	switch o {
	case fault.OwnerRDI:
		return "the RDI"
	case fault.OwnerDataHUB:
		return "the administrators of the git server"
	case fault.OwnerNobody:
		return "nobody (it mends itself)"
	}
	return "the operator"
}
