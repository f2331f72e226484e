package arc

// DataMap describes fragments of data files, one row each. An empty data map is
// no data map.
type DataMap []DataContext

// DataContext is a row of a data map: what a fragment of a data file means.
type DataContext struct {
	Data        Data
	Explication OntologyTerm
	Unit        OntologyTerm
	ObjectType  OntologyTerm
	Description string
	GeneratedBy string
	Label       string
	Comments    []Comment
}

// Data points at a data file or at a fragment of one (name and selector are
// separated by #).
type Data struct {
	Name, Format, SelectorFormat string
}
