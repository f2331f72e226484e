package upload

import (
	"github.com/fairagro/middleware-api/internal/fault"
)

// diffQuestion is the body of POST /v3/harvests/{id}/diff.
type diffQuestion struct {
	ARCs []diffEntry `json:"arcs"`
}

type diffEntry struct {
	Identifier string `json:"identifier"`
	Hash       string `json:"arc_hash"`
}

// diffAnswer is the answer to it, in the order of the question.
type diffAnswer struct {
	ARCs []struct {
		Identifier string `json:"identifier"`
		Status     string `json:"status"`
	} `json:"arcs"`
}

func (a diffAnswer) unchanged(known []Known) ([]bool, error) {
	if len(a.ARCs) != len(known) {
		return nil, &fault.Error{Code: CodeAnswer, Owner: fault.OwnerOperator, Text: "the API answers the delta handshake with another number of ARCs than asked"}
	}
	unchanged := make([]bool, len(known))
	for i, entry := range a.ARCs {
		unchanged[i] = entry.Status == "unchanged"
	}
	return unchanged, nil
}

// bulkLine is one line of the answer to a bulk submission.
type bulkLine struct {
	Status  int    `json:"status"` // as a single submission would be answered
	Outcome string `json:"outcome"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error"`
}
