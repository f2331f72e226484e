package xlsx

import "strconv"

const (
	xmlHead       = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"
	mainNamespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
	relNamespace  = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
	packageRels   = "http://schemas.openxmlformats.org/package/2006/relationships"
	contentType   = "application/vnd.openxmlformats-officedocument.spreadsheetml."
)

func (wb *Workbook) writeContentTypes(w *sink) {
	w.put(xmlHead, `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">`,
		`<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>`,
		`<Default Extension="xml" ContentType="application/xml"/>`)
	override := func(part, kind string) {
		w.put(`<Override PartName="/xl/`, part, `.xml" ContentType="`, contentType, kind, `+xml"/>`)
	}
	override("workbook", "sheet.main")
	override("styles", "styles")
	override("sharedStrings", "sharedStrings")
	tables := 0
	for i, s := range wb.Sheets {
		override("worksheets/sheet"+strconv.Itoa(i+1), "worksheet")
		if s.Table != nil {
			tables++
			override("tables/table"+strconv.Itoa(tables), "table")
		}
	}
	w.put(`</Types>`)
}

func writeRootRelationships(w *sink) {
	w.put(xmlHead, `<Relationships xmlns="`, packageRels, `">`,
		`<Relationship Id="rId1" Type="`, relNamespace, `/officeDocument" Target="xl/workbook.xml"/></Relationships>`)
}

func (wb *Workbook) writeWorkbook(w *sink) {
	w.put(xmlHead, `<workbook xmlns="`, mainNamespace, `" xmlns:r="`, relNamespace, `"><sheets>`)
	for i, s := range wb.Sheets {
		n := strconv.Itoa(i + 1)
		w.put(`<sheet name="`)
		writeText(w, s.Name, inAttribute)
		w.put(`" sheetId="`, n, `" r:id="rId`, n, `"/>`)
	}
	w.put(`</sheets></workbook>`)
}

func (wb *Workbook) writeWorkbookRelationships(w *sink) {
	w.put(xmlHead, `<Relationships xmlns="`, packageRels, `">`)
	relation := func(n int, kind, target string) {
		w.put(`<Relationship Id="rId`, strconv.Itoa(n), `" Type="`, relNamespace, `/`, kind, `" Target="`, target, `.xml"/>`)
	}
	n := len(wb.Sheets)
	for i := 1; i <= n; i++ {
		relation(i, "worksheet", "worksheets/sheet"+strconv.Itoa(i))
	}
	relation(n+1, "styles", "styles")
	relation(n+2, "sharedStrings", "sharedStrings")
	w.put(`</Relationships>`)
}

// writeStyles writes the one style there is. Programs insist on the two fills.
func writeStyles(w *sink) {
	w.put(xmlHead, `<styleSheet xmlns="`, mainNamespace, `">`,
		`<fonts count="1"><font><sz val="11"/><name val="Calibri"/><family val="2"/></font></fonts>`,
		`<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>`,
		`<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>`,
		`<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>`,
		`<cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs>`,
		`<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>`,
		`<dxfs count="0"/><tableStyles count="0" defaultTableStyle="TableStyleMedium2" defaultPivotStyle="PivotStyleLight16"/></styleSheet>`)
}

func writeSheetRelationships(w *sink, table string) {
	w.put(xmlHead, `<Relationships xmlns="`, packageRels, `"><Relationship Id="rId1" Type="`, relNamespace,
		`/table" Target="../tables/table`, table, `.xml"/></Relationships>`)
}

// write writes the table part. The filter buttons are hidden, as in the files of
// other ARC tools.
func (t *Table) write(w *sink, id string) {
	ref := "A1:" + string(appendColumn(nil, len(t.Headers)-1)) + strconv.Itoa(t.Rows)
	w.put(xmlHead, `<table xmlns="`, mainNamespace, `" id="`, id, `" name="`, t.Name, `" displayName="`, t.Name,
		`" ref="`, ref, `" totalsRowShown="0"><autoFilter ref="`, ref, `">`)
	for i := range t.Headers {
		w.put(`<filterColumn colId="`, strconv.Itoa(i), `" hiddenButton="1"/>`)
	}
	w.put(`</autoFilter><tableColumns count="`, strconv.Itoa(len(t.Headers)), `">`)
	for i, h := range t.Headers {
		w.put(`<tableColumn id="`, strconv.Itoa(i+1), `" name="`)
		writeText(w, h, inColumnName)
		w.put(`"/>`)
	}
	w.put(`</tableColumns><tableStyleInfo name="TableStyleMedium2" showFirstColumn="0" showLastColumn="0" showRowStripes="1" showColumnStripes="0"/></table>`)
}
