// node reference-arc.mjs ROWS.json DIR
// Builds an ARC of the rows of each dataset with the reference library, as the
// documentation of the views has it, lets the library write it, and compares what
// the library reads there with what it reads in DIR/IDENTIFIER. The rows are
// objects whose members are the columns of the views; null is NULL.
//
// The library's own way through an RO-Crate is no measure: it merges samples and
// protocols of one name, so that their values turn up in rows that they do not
// belong to. What such a way leaves open is not compared: the order of columns,
// and whether a term is given by its IRI or by its short form; nor is what it
// loses, and the converter tells: dates, performers, double quotes in comments.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ArcStudy, ArcAssay, ArcTable, CompositeHeader, CompositeCell, IOType, OntologyAnnotation, Person, Publication }
  from '@nfdi4plants/arctrl';
import { ARC, diffJson } from './lib/canon.mjs';

const [rows, dir] = process.argv.slice(2);
const text = (v) => v ?? undefined;
const term = (name, uri) => (name ? new OntologyAnnotation(name, undefined, text(uri)) : undefined);
const iso = (v) => v?.replace(' ', 'T');

const headers = {
  characteristic: CompositeHeader.characteristic, component: CompositeHeader.component,
  factor: CompositeHeader.factor, parameter: CompositeHeader.parameter,
};
const ioTypes = { source_name: 'Source Name', sample_name: 'Sample Name', data: 'Data', material_name: 'Material' };

function header(r) {
  const kind = r.column_type;
  if (headers[kind]) return headers[kind](term(r.column_annotation_term, r.column_annotation_uri));
  switch (kind) {
    case 'input': return CompositeHeader.input(IOType.ofString(ioTypes[r.column_io_type] ?? 'Source Name'));
    case 'output': return CompositeHeader.output(IOType.ofString(ioTypes[r.column_io_type] ?? 'Sample Name'));
    case 'comment': return CompositeHeader.comment(r.column_value);
    case 'date': return CompositeHeader.date();
    case 'performer': return CompositeHeader.performer();
  }
  throw new Error(`unknown column ${kind}`);
}

function cell(r, isData) {
  const unit = term(r?.cell_annotation_term, r?.cell_annotation_uri);
  if (isData) return CompositeCell.createDataFromString(r?.cell_value ?? '');
  if (headers[r.column_type] === undefined) return CompositeCell.createFreeText(r.cell_value ?? '');
  if (unit && r.cell_value !== null) return CompositeCell.createUnitized(r.cell_value, unit);
  if (unit) return CompositeCell.createTerm(unit);
  return CompositeCell.createTermFromString(r.cell_value ?? '');
}

function table(name, cells) {
  const t = ArcTable.init(name);
  const columns = new Map();
  const count = Math.max(...cells.map((c) => Number(c.row_index))) + 1;
  for (const c of cells) {
    const key = JSON.stringify([c.column_type, c.column_io_type, c.column_value, c.column_annotation_term, c.column_annotation_uri, c.column_annotation_version]);
    if (!columns.has(key)) columns.set(key, { first: c, cells: new Map() });
    columns.get(key).cells.set(Number(c.row_index), c);
  }
  for (const { first, cells: own } of columns.values()) {
    const isData = first.column_io_type === 'data';
    const empty = { column_type: first.column_type, cell_value: null };
    t.AddColumn(header(first), Array.from({ length: count }, (_, i) => cell(own.get(i) ?? empty, isData)));
  }
  return t;
}

function person(r) {
  const roles = JSON.parse(r.roles ?? '[]').map((x) => term(x.term, x.uri)).filter((x) => x);
  return new Person(undefined, text(r.last_name), r.first_name ?? '', text(r.mid_initials), text(r.email), text(r.phone), text(r.fax),
    text(r.postal_address), text(r.affiliation), roles);
}

// A JSON array of identifiers, or one identifier.
const references = (v) => (v === null ? [] : v.startsWith('[') ? JSON.parse(v) : [v]);

function build(d) {
  const i = d.vInvestigation[0];
  const arc = new ARC(i.identifier, i.title, i.description_text ?? '', iso(i.submission_date), iso(i.public_release_date));
  const studies = new Map(), assays = new Map();
  for (const r of d.vStudy) {
    const s = new ArcStudy(r.identifier, r.title, text(r.description_text), iso(r.submission_date), iso(r.public_release_date));
    studies.set(r.identifier, s);
    arc.AddStudy(s);
  }
  for (const r of d.vAssay) {
    const a = new ArcAssay(r.identifier, text(r.title), text(r.description_text), term(r.measurement_type_term, r.measurement_type_uri),
      term(r.technology_type_term, r.technology_type_uri), term(r.technology_platform));
    assays.set(r.identifier, a);
    arc.AddAssay(a, references(r.study_ref).map((ref) => studies.get(ref)).filter((s) => s));
  }
  for (const r of d.vPublication) {
    const p = new Publication(text(r.pubmed_id), text(r.doi), text(r.authors), text(r.title), term(r.status_term, r.status_uri));
    (r.target_type === 'study' ? studies.get(r.target_ref) : arc).Publications.push(p);
  }
  for (const r of d.vContact) {
    if (r.target_type === 'assay') assays.get(r.target_ref).Performers.push(person(r));
    else (r.target_type === 'study' ? studies.get(r.target_ref) : arc).Contacts.push(person(r));
  }
  const tables = new Map();
  for (const c of d.vAnnotationTable) {
    const key = JSON.stringify([c.target_type, c.target_ref, c.table_name]);
    if (!tables.has(key)) tables.set(key, []);
    tables.get(key).push(c);
  }
  for (const cells of tables.values()) {
    const { target_type: type, target_ref: ref, table_name: name } = cells[0];
    (type === 'study' ? studies : assays).get(ref).AddTable(table(name, cells));
  }
  return arc;
}

// A line break is one, however it is spelled. The library writes what looks like the
// escape of one unescaped, and reads it as one.
const plain = (v) => (v === undefined || v === null ? '' : String(v).replace(/\r\n|_x000A_/g, '\n'));
const termView = (t) => (t?.Name || t?.TermAccessionNumber ? [plain(t.Name), plain(t.TermAccessionShort) || plain(t.TermAccessionNumber)] : null);
const personView = (p) => [...[p.FirstName, p.LastName, p.MidInitials, p.EMail, p.Phone, p.Fax, p.Address, p.Affiliation].map(plain), [...p.Roles].map(termView)];
const publicationView = (p) => [...[p.PubMedID, p.DOI, p.Authors, p.Title].map(plain), termView(p.Status)];

function headerView(h) {
  return h.IsTermColumn ? [h.toString(), plain(h.ToTerm().TermAccessionShort)].join(' ') : h.toString();
}

function cellView(c) {
  if (c.isUnitized) { const [value, unit] = c.AsUnitized; return { value: plain(value), term: termView(unit) }; }
  if (c.isTerm) return { value: '', term: termView(c.AsTerm) };
  return { value: c.isData ? plain(c.AsData.Name) : plain(c.AsFreeText), term: null };
}

function columnView(c) {
  const cells = [...c.Cells].map(cellView);
  return c.Header.isComment ? cells.map((x) => x.value.replaceAll('"', "'")) : cells;
}

const tablesView = (x) => Object.fromEntries([...x.Tables].map((t) =>
  [t.Name, Object.fromEntries([...t.Columns].filter((c) => !c.Header.isDate && !c.Header.isPerformer)
    .map((c) => [headerView(c.Header), columnView(c)]))]));

const parts = (list, view) => Object.fromEntries([...list].map((x) => [x.Identifier, view(x)]));
const common = (x) => ({
  title: plain(x.Title), description: plain(x.Description), submitted: plain(x.SubmissionDate), released: plain(x.PublicReleaseDate),
  publications: [...x.Publications].map(publicationView), contacts: [...x.Contacts].map(personView),
});
const view = (arc) => ({
  identifier: arc.Identifier, ...common(arc),
  studies: parts(arc.Studies, (s) => ({ ...common(s), tables: tablesView(s) })),
  assays: parts(arc.Assays, (a) => ({
    title: plain(a.Title), description: plain(a.Description), performers: [...a.Performers].map(personView), tables: tablesView(a),
    measurement: termView(a.MeasurementType), technology: termView(a.TechnologyType), platform: termView(a.TechnologyPlatform),
  })),
});

const all = JSON.parse(fs.readFileSync(rows, 'utf8'));
let same = 0;
for (const d of all) {
  const built = build(d);
  const own = fs.mkdtempSync(path.join(os.tmpdir(), 'reference-arc-'));
  await built.WriteAsync(own);
  const differences = diffJson(view(await ARC.loadAsync(own)), view(await ARC.loadAsync(path.join(dir, built.Identifier))));
  fs.rmSync(own, { recursive: true });
  if (differences.length === 0) same++;
  for (const line of differences) process.stdout.write(`${built.Identifier} ${line}\n`);
}
process.stdout.write(`${same} of ${all.length} are the same\n`);
