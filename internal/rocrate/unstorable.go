package rocrate

import (
	"math"
	"slices"

	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
)

// reportUnstorable reports every number that is not finite and every text or
// name with half a surrogate pair: the parser lets them pass, but no JSON text and
// no UTF-8 can hold them.
func reportUnstorable(check *wire.Checker, v jsondoc.Value, loc wire.Loc) {
	w := unstorable{check, slices.Clone(loc)}
	w.walk(v)
}

// unstorable is a walk through a value. The place is one stack, copied only
// into errors, so that depth costs nothing.
type unstorable struct {
	check *wire.Checker
	loc   wire.Loc
}

func (w *unstorable) walk(v jsondoc.Value) {
	if w.check.Full() {
		return
	}
	switch v.Kind() {
	case jsondoc.Float:
		if f := v.Float(); math.IsInf(f, 0) || math.IsNaN(f) {
			w.check.Add("finite_number", slices.Clone(w.loc), "Input should be a finite number", v, "")
		}
	case jsondoc.String:
		if v.HasLoneSurrogate() {
			w.check.Unencodable(v, slices.Clone(w.loc))
		}
	case jsondoc.Array:
		for i, element := range v.Elements() {
			w.enter(i, element)
		}
	case jsondoc.Object:
		for key, value := range v.Members() {
			if key.HasLoneSurrogate() {
				w.check.Unencodable(key, w.loc.With(key.Text()))
			}
			w.enter(key.Text(), value)
		}
	default:
	}
}

func (w *unstorable) enter(step any, v jsondoc.Value) {
	switch v.Kind() {
	case jsondoc.Float, jsondoc.String, jsondoc.Array, jsondoc.Object:
		w.loc = append(w.loc, step)
		w.walk(v)
		w.loc = w.loc[:len(w.loc)-1]
	default:
	}
}
