package store_test

import (
	"sync"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// However many processes look, a minute is sampled once, with what waits and what
// has moved since the sample before; an RDI is shown its own part.
func TestAMinuteIsSampledOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	d := open(t, dsn)
	put := func(rdi, identifier string) {
		sub := submission(identifier, "content of "+identifier)
		sub.RDI = rdi
		submit(t, d, sub)
	}
	put("edal", "A")
	put("edal", "B")
	put("bonares", "C")
	for _, c := range claimN(t, d, 10) {
		push(t, d, c, "commit")
	}
	put("edal", "D")
	sql(t, dsn, `UPDATE arc SET last_changed = now() - interval '10 minutes' WHERE identifier = 'D'`)
	put("edal", "parked") // and waits for nobody here
	sql(t, dsn, `UPDATE arc SET last_changed = now() - interval '2 hours', parked = true, due_at = NULL WHERE identifier = 'parked'`)

	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := d.TakeSample(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	check := func(last store.Sample, waiting, parked, accepted, pushed int64, oldest time.Duration) {
		t.Helper()
		if last.Waiting != waiting || last.Parked != parked || last.Accepted != accepted || last.Pushed != pushed || last.Oldest < oldest || last.Oldest > oldest+time.Minute {
			t.Errorf("%+v, want %d waiting, %d parked, %d accepted, %d pushed, oldest %s", last, waiting, parked, accepted, pushed, oldest)
		}
	}
	samples := must(d.Samples(t.Context(), time.Hour))(t)
	if len(samples) == 0 || len(samples) > 2 { // two, if the minute has just turned
		t.Fatalf("%d samples", len(samples))
	}
	check(samples[0], 1, 1, 5, 3, 10*time.Minute)
	check(must(d.Samples(t.Context(), time.Hour, "bonares"))(t)[0], 0, 0, 1, 1, 0)

	// Who looks again in the same minute changes nothing.
	if again := must(d.Samples(t.Context(), time.Hour))(t); len(again) != len(samples) {
		t.Errorf("%d samples, then %d", len(samples), len(again))
	}

	// The next minute counts what came after the last one only.
	sql(t, dsn, `UPDATE sample SET at = at - interval '5 minutes'`)
	sql(t, dsn, `UPDATE sampler SET at = at - interval '5 minutes'`)
	put("edal", "E")
	if err := d.TakeSample(t.Context()); err != nil {
		t.Fatal(err)
	}
	samples = must(d.Samples(t.Context(), time.Hour))(t)
	check(samples[len(samples)-1], 2, 1, 1, 0, 10*time.Minute)

	// After a day nothing is left.
	sql(t, dsn, `UPDATE sample SET at = at - interval '1 day'`)
	sql(t, dsn, `UPDATE sampler SET at = at - interval '1 day'`)
	if err := d.TakeSample(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(must(d.Samples(t.Context(), 48*time.Hour))(t)); n != 1 {
		t.Errorf("%d samples are left, want the new one", n)
	}
}
