package rocrate_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// BenchmarkLinear converts crates of growing size of the kinds that cost the reference library the square or more of
// their size. What a byte costs stays the same.
func BenchmarkLinear(b *testing.B) {
	for _, kind := range []struct {
		name  string
		crate func(n int) []byte
		sizes []int
	}{
		{"nesting", nestedCrate, []int{20, 100, 900}},
		{"rows", tableCrate, []int{1_000, 10_000, 100_000}},
		{"components", componentCrate, []int{100, 1_000, 10_000}},
	} {
		for _, n := range kind.sizes {
			doc := kind.crate(n)
			b.Run(fmt.Sprintf("%s=%d", kind.name, n), func(b *testing.B) {
				b.SetBytes(int64(len(doc)))
				before := cpuTime(b)
				for b.Loop() {
					convertTo(b, doc, io.Discard)
				}
				b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N*len(doc)), "cpu-ns/byte")
			})
		}
	}
}

// nestedCrate has plain objects within each other, a thousand times, so that the rest of the crate does not count.
func nestedCrate(depth int) []byte {
	nested := strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	return crate(`{"@id":"./","@type":"Dataset","identifier":"I","x":[` + strings.TrimSuffix(strings.Repeat(nested+",", 1000), ",") + `]}`)
}

// componentCrate has a protocol with many components.
func componentCrate(components int) []byte {
	entities := []string{
		`{"@id":"./","@type":"Dataset","identifier":"I","hasPart":{"@id":"s"}}`,
		`{"@id":"s","@type":"Dataset","additionalType":"Study","identifier":"S","about":{"@id":"p"}}`,
		`{"@id":"p","@type":"LabProcess","name":"p_1","executesLabProtocol":{"@id":"x"}}`,
	}
	var list []string
	for i := range components {
		list = append(list, fmt.Sprintf(`{"@id":"c%d"}`, i))
		entities = append(entities, fmt.Sprintf(`{"@id":"c%d","@type":"PropertyValue","name":"part %[1]d","value":"v%[1]d","propertyID":"OBI:%[1]d"}`, i))
	}
	entities = append(entities, `{"@id":"x","@type":"LabProtocol","name":"x","labEquipment":[`+strings.Join(list, ",")+`]}`)
	return crate(entities...)
}
