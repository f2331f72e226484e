package rocrate_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/rocrate"
)

// tableCrate makes a crate that looks like those of real senders: an assay with one table of samples, values
// and files.
func tableCrate(rows int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"@context":` + arcContext + `,"@graph":[` +
		`{"@id":"./","@type":"Dataset","additionalType":"Investigation","identifier":"sized","name":"A crate of a given size","hasPart":{"@id":"assays/a/"}}`)
	for i := range rows {
		fmt.Fprintf(&b, `,{"@id":"#p%[1]d","@type":"LabProcess","name":"growth_%[1]d","object":{"@id":"#s%[1]d"},"result":{"@id":"#f%[1]d"},"parameterValue":[{"@id":"#v%[2]d"}]}`, i, i%50)
		fmt.Fprintf(&b, `,{"@id":"#s%[1]d","@type":"Sample","additionalType":"Source","name":"plant %[1]d","additionalProperty":{"@id":"#c"}}`, i)
		fmt.Fprintf(&b, `,{"@id":"#f%[1]d","@type":"File","name":"assays/a/dataset/%[1]d.raw"}`, i)
		if i < 50 {
			fmt.Fprintf(&b, `,{"@id":"#v%[1]d","@type":"PropertyValue","additionalType":"ParameterValue","name":"time","value":"%[1]d","unitText":"day","unitCode":"https://bioregistry.io/UO:0000033","columnIndex":"1"}`, i)
		}
	}
	b.WriteString(`,{"@id":"#c","@type":"PropertyValue","additionalType":"CharacteristicValue","name":"organism","value":"Arabidopsis thaliana","propertyID":"https://bioregistry.io/OBI:0100026","valueReference":"http://purl.obolibrary.org/obo/NCBITAXON_3702","columnIndex":"0"}`)
	b.WriteString(`,{"@id":"assays/a/","@type":"Dataset","additionalType":"Assay","identifier":"a","about":[`)
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"@id":"#p` + strconv.Itoa(i) + `"}`)
	}
	b.WriteString(`]}]}`)
	return b.Bytes()
}

// sizedCrate makes a crate of about the given number of bytes.
func sizedCrate(size int) []byte {
	const row = 290
	if size < 1000 {
		return []byte(`{"@context":"https://w3id.org/ro/crate/1.2/context","@graph":[{"@id":"./","@type":"Dataset","identifier":"small","name":"` +
			strings.Repeat("n", size-130) + `"}]}`)
	}
	return tableCrate(max(size/row-size/10000, 1))
}

func BenchmarkScan(b *testing.B) {
	for _, size := range []int{400, 1500, 29 << 10, 1 << 20} {
		doc := sizedCrate(size)
		b.Run(strconv.Itoa(len(doc)), func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rocrate.Scan(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, doc := range [][]byte{sizedCrate(400), sizedCrate(29 << 10), tableCrate(10_000)} {
		b.Run(strconv.Itoa(len(doc)), func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if inv, list := rocrate.Read(doc); inv == nil {
					b.Fatal(list)
				}
			}
		})
	}
}
