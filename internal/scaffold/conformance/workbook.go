package conformance

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

// Workbook is a workbook as it was read.
type Workbook struct {
	Sheets []Sheet
}

// Sheet is a sheet: its rows from A1 on, without empty cells and rows at the
// ends, and its Excel tables.
type Sheet struct {
	Name   string
	Rows   [][]string
	Tables []Table
}

func (wb *Workbook) names() []string {
	names := make([]string, len(wb.Sheets))
	for i, s := range wb.Sheets {
		names[i] = s.Name
	}
	return names
}

// ReadWorkbook reads a workbook as strictly as the strictest of the ARC tools:
// every cell is a text from the shared strings, and every shared string has
// exactly one <t>. Other workbooks are errors.
func ReadWorkbook(content []byte) (*Workbook, error) {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, fmt.Errorf("open the package: %w", err)
	}
	r := &reader{archive: archive}
	var types struct{}
	r.part("[Content_Types].xml", &types)
	r.part("xl/styles.xml", &types)
	shared := r.sharedStrings()
	var book struct {
		Sheets []struct {
			Name string `xml:"name,attr"`
			ID   string `xml:"http://schemas.openxmlformats.org/officeDocument/2006/relationships id,attr"`
		} `xml:"sheets>sheet"`
	}
	r.part("xl/workbook.xml", &book)
	targets := r.relationships("xl/_rels/workbook.xml.rels")
	wb := &Workbook{}
	for _, s := range book.Sheets {
		wb.Sheets = append(wb.Sheets, r.sheet(s.Name, path.Join("xl", targets[s.ID]), shared))
	}
	if r.err != nil {
		return nil, r.err
	}
	return wb, nil
}

// reader remembers the first error.
type reader struct {
	archive *zip.Reader
	err     error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) part(name string, into any) {
	if r.err != nil {
		return
	}
	f, err := r.archive.Open(name)
	if err != nil {
		r.fail("open part: %w", err)
		return
	}
	defer func() { _ = f.Close() }()
	d := xml.NewDecoder(f)
	if err := d.Decode(into); err != nil {
		r.fail("read part %s: %w", name, err)
		return
	}
	if _, err := d.Token(); err != io.EOF { //nolint:errorlint // as documented
		r.fail("part %s goes on after its element", name)
	}
}

func (r *reader) relationships(name string) map[string]string {
	var rels struct {
		Relationship []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		}
	}
	r.part(name, &rels)
	targets := map[string]string{}
	for _, rel := range rels.Relationship {
		targets[rel.ID] = rel.Target
	}
	return targets
}

func (r *reader) sharedStrings() []string {
	var sst struct {
		Unique string `xml:"uniqueCount,attr"`
		Items  []struct {
			Texts []struct {
				Text  string `xml:",chardata"`
				Space string `xml:"http://www.w3.org/XML/1998/namespace space,attr"`
			} `xml:"t"`
		} `xml:"si"`
	}
	r.part("xl/sharedStrings.xml", &sst)
	if sst.Unique != strconv.Itoa(len(sst.Items)) {
		r.fail("%d shared strings, but the count says %s", len(sst.Items), sst.Unique)
	}
	texts := make([]string, len(sst.Items))
	for i, si := range sst.Items {
		if len(si.Texts) != 1 {
			r.fail("shared string %d has %d texts", i, len(si.Texts))
			return nil
		}
		t := si.Texts[0]
		if t.Text != strings.Trim(t.Text, " \t\r\n") && t.Space != "preserve" {
			r.fail("shared string %d does not preserve its blanks", i)
		}
		texts[i] = decodeEscapes(t.Text)
	}
	return texts
}

// decodeEscapes resolves _xHHHH_.
func decodeEscapes(s string) string {
	return characterEscape.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.ParseUint(m[2:6], 16, 16)
		if err != nil {
			return m
		}
		return string(rune(n))
	})
}

func (r *reader) sheet(name, part string, shared []string) Sheet {
	var ws struct {
		Rows []struct {
			Number int `xml:"r,attr"`
			Cells  []struct {
				Ref  string    `xml:"r,attr"`
				Type string    `xml:"t,attr"`
				V    string    `xml:"v"`
				F    *struct{} `xml:"f"`
			} `xml:"c"`
		} `xml:"sheetData>row"`
		TableParts []struct {
			ID string `xml:"http://schemas.openxmlformats.org/officeDocument/2006/relationships id,attr"`
		} `xml:"tableParts>tablePart"`
	}
	r.part(part, &ws)
	sheet := Sheet{Name: name}
	last := 0
	for _, row := range ws.Rows {
		if row.Number <= last {
			r.fail("sheet %s: row %d after row %d", name, row.Number, last)
			return sheet
		}
		last = row.Number
		for _, c := range row.Cells {
			column, number := position(c.Ref)
			n, err := strconv.Atoi(c.V)
			if c.Type != "s" || c.F != nil || err != nil || n < 0 || n >= len(shared) || number != row.Number || column < 0 {
				r.fail("sheet %s: cell %s is no text: %+v", name, c.Ref, c)
				return sheet
			}
			sheet.set(row.Number-1, column, shared[n])
		}
	}
	if len(ws.TableParts) > 0 {
		targets := r.relationships(path.Join(path.Dir(part), "_rels", path.Base(part)+".rels"))
		for _, t := range ws.TableParts {
			sheet.Tables = append(sheet.Tables, r.table(path.Join(path.Dir(part), targets[t.ID])))
		}
	}
	return sheet
}

func (s *Sheet) set(row, column int, text string) {
	if text == "" {
		return
	}
	for len(s.Rows) <= row {
		s.Rows = append(s.Rows, nil)
	}
	for len(s.Rows[row]) <= column {
		s.Rows[row] = append(s.Rows[row], "")
	}
	s.Rows[row][column] = text
}

// position splits a reference such as AB12 into column (from 0) and row (from
// 1). It is -1 for anything else.
func position(ref string) (column, row int) {
	i := 0
	for i < len(ref) && 'A' <= ref[i] && ref[i] <= 'Z' {
		column = column*26 + int(ref[i]-'A') + 1
		i++
	}
	row, err := strconv.Atoi(ref[i:])
	if err != nil {
		return -1, -1
	}
	return column - 1, row
}

func (r *reader) table(part string) Table {
	var t struct {
		Name    string `xml:"name,attr"`
		Ref     string `xml:"ref,attr"`
		Columns []struct {
			Name string `xml:"name,attr"`
		} `xml:"tableColumns>tableColumn"`
	}
	r.part(part, &t)
	out := Table{Name: t.Name, Ref: t.Ref}
	for _, c := range t.Columns {
		out.Columns = append(out.Columns, decodeEscapes(c.Name))
	}
	return out
}
