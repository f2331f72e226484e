package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// rdiPassword is what the reader of the RDI's database has to know; it must be
// seen nowhere. The characters are those that break connection strings.
const rdiPassword = `p#ss/w@rd:%41 "x"`

// rdiDatabase is a small RDI as its owner would set it up: tables of its own and
// the documented views over them, with names in lower case because nobody quoted
// them. One dataset has no title.
const rdiDatabase = `
CREATE TABLE site (id integer PRIMARY KEY, label text, taken date);
CREATE TABLE sample (id serial, site integer REFERENCES site, ph numeric(4,2), species varchar(40));
INSERT INTO site SELECT n, CASE n WHEN 4 THEN NULL ELSE 'Site ' || n END, date '2026-01-01' + n FROM generate_series(1, 12) n;
INSERT INTO sample (site, ph, species) SELECT s.id, 4.5 + n / 10.0, 'Lumbricus terrestris' FROM site s, generate_series(1, 5) n;
CREATE VIEW vInvestigation AS SELECT 'site-' || id AS identifier, label AS title, 'Soil ä' AS description_text,
	taken::timestamp AS submission_date, NULL::timestamp AS public_release_date FROM site;
CREATE VIEW vStudy AS SELECT 'sampling' AS identifier, 'Sampling' AS title, NULL::text AS description_text,
	NULL::timestamp AS submission_date, NULL::timestamp AS public_release_date, 'site-' || id AS investigation_ref FROM site;
CREATE VIEW vContact AS SELECT 'Darwin' AS last_name, 'Charles' AS first_name, NULL::text AS mid_initials, NULL::text AS email, NULL::text AS phone,
	NULL::text AS fax, NULL::text AS postal_address, NULL::text AS affiliation, '[{"term": "researcher", "uri": null, "version": null}]'::jsonb AS roles,
	'investigation' AS target_type, NULL::text AS target_ref, 'site-' || id AS investigation_ref FROM site;
CREATE VIEW vAnnotationTable AS
	SELECT 'soil' AS table_name, 'study' AS target_type, 'sampling' AS target_ref, 'site-' || site AS investigation_ref, c.*, row_number() OVER (PARTITION BY site, c.column_type ORDER BY id) - 1 AS row_index,
		CASE c.column_type WHEN 'input' THEN 'sample ' || id ELSE ph::text END AS cell_value,
		CASE c.column_type WHEN 'input' THEN NULL ELSE 'pH' END AS cell_annotation_term, NULL::text AS cell_annotation_uri, NULL::text AS cell_annotation_version
	FROM sample, (VALUES ('input', 'sample_name', NULL::text, NULL::text, NULL::text, NULL::text), ('characteristic', NULL, NULL, 'acidity', NULL, NULL))
		AS c (column_type, column_io_type, column_value, column_annotation_term, column_annotation_uri, column_annotation_version);
GRANT SELECT ON vInvestigation, vStudy, vContact, vAnnotationTable TO reader;
`

// converter builds the package sql-to-arc, and installs it.
func (b *box) converter() {
	b.tb.Helper()
	dir := b.tb.TempDir()
	cmd := exec.Command("packaging/build-sql-to-arc.sh")
	cmd.Dir = testenv.ModuleRoot(b.tb)
	cmd.Env = append(os.Environ(), "VERSION="+firstVersion, "DIST="+dir, "SOURCE_DATE_EPOCH=1790000000")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.tb.Fatalf("build package: %v\n%s", err, out)
	}
	name := "sql-to-arc_" + firstVersion + "_" + architecture() + ".deb"
	b.copyIn(filepath.Join(dir, name), "/root/"+name, 0o644)
	b.apt("install", "/root/"+name)
}

// convert starts the converter and gives its exit status once it has ended, and
// what it has written to the journal.
func (b *box) convert() (int, string) {
	b.tb.Helper()
	mark := b.mark()
	out, _ := b.try("systemctl reset-failed 'sql-to-arc@*'; systemctl start --wait sql-to-arc@soil; systemctl show -p ExecMainStatus --value sql-to-arc@soil")
	lines := strings.Split(out, "\n")
	status, err := strconv.Atoi(lines[len(lines)-1])
	if err != nil {
		b.tb.Fatalf("status: %s", out)
	}
	return status, b.sh(since(mark) + "-o cat -t sql-to-arc || true")
}

// Starting the unit brings the datasets of a database into git, with the password
// as a credential; what is wrong with a dataset is in the journal and in the
// report, and does not make the unit fail; a second run sends what has changed.
func TestDatabaseBecomesCommits(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.converter()
	b.write("/root/rdi.sql", []byte(rdiDatabase), 0o644)
	b.write("/root/role.sql", []byte("CREATE ROLE reader LOGIN PASSWORD '"+rdiPassword+"'; CREATE DATABASE soil;"), 0o644)
	b.sh("chmod 755 /root && cd / && su postgres -c 'psql -q -v ON_ERROR_STOP=1 -f /root/role.sql' && su postgres -c 'psql -q -v ON_ERROR_STOP=1 -d soil -f /root/rdi.sql'")
	b.write("/etc/sql-to-arc/soil.yaml", []byte("connection_string: postgresql://reader@127.0.0.1/soil\nrdi: demo\nrdi_url: https://soil.example.org\n"+
		"api_client:\n  api_url: http://127.0.0.1:8000/\n  max_retries: 1\n"), 0o644)
	b.write("/etc/sql-to-arc/soil.password", []byte(rdiPassword+"\n"), 0o600)
	// The timer refers to the unit, so that its result is kept.
	b.sh("systemctl daemon-reload && systemctl enable --now sql-to-arc@soil.timer 2>&1")

	status, said := b.convert()
	if status != 3 {
		t.Fatalf("first run: status %d, want 3\n%s", status, said)
	}
	if result := b.sh("systemctl show -p Result --value sql-to-arc@soil"); result != "success" {
		t.Errorf("the unit ends with %s", result)
	}
	for _, want := range []string{"site-4", "vInvestigation", "title", "a required value is missing", "12 datasets read", "11 new or changed", "harvest completed"} {
		if !strings.Contains(said, want) {
			t.Errorf("the journal lacks %q:\n%s", want, said)
		}
	}
	var report struct {
		Found  int      `json:"found_datasets"`
		Failed []string `json:"failed_ids"`
	}
	if err := json.Unmarshal([]byte(b.sh("cat /var/lib/sql-to-arc/soil/report.json")), &report); err != nil || report.Found != 12 || fmt.Sprint(report.Failed) != "[site-4]" {
		t.Errorf("report: %+v, %v", report, err)
	}
	b.until("11 ARCs in git", `test "$(find /var/lib/middleware-api/arcs -path '*/refs/heads/main' | wc -l)" = 11`)
	commits := b.sh(`for r in $(find /var/lib/middleware-api/arcs -name '*.git' -o -name HEAD -path '*/arcs/*' | sed 's|/HEAD$||' | sort -u); do
		git -c safe.directory='*' -C "$r" ls-tree -r --name-only main; done`)
	for _, file := range []string{"isa.investigation.xlsx", "studies/sampling/isa.study.xlsx"} {
		if n := strings.Count(commits, file); n != 11 {
			t.Errorf("%d of 11 repositories hold %s:\n%s", n, file, commits)
		}
	}

	b.sh(`cd / && su postgres -c "psql -q -d soil -c \"UPDATE site SET label = 'Found' WHERE id = 4\""`)
	status, said = b.convert()
	if status != 0 {
		t.Errorf("second run: status %d\n%s", status, said)
	}
	if !strings.Contains(said, "1 new or changed, 11 unchanged, 0 failed") {
		t.Errorf("second run:\n%s", said)
	}
	b.until("12 ARCs in git", `test "$(find /var/lib/middleware-api/arcs -path '*/refs/heads/main' | wc -l)" = 12`)
	if n := b.sh(`journalctl --no-pager -o verbose | grep -cF 'p#ss/w@rd' || true`); n != "0" {
		t.Errorf("the password is in the journal (%s times)", n)
	}
	b.converterFails(t)
	b.converterIsConfined(t)
}

// converterFails: why a run could not be done is one line in the journal with what
// to do about it, and an exit status; what may pass by itself is tried again.
func (b *box) converterFails(t *testing.T) {
	t.Helper()
	for _, c := range []struct {
		what, cause, mend string
		status            int
		again             bool
		says              string
	}{
		{"wrong password", "echo wrong >/etc/sql-to-arc/soil.password", "printf '%s\\n' '" + rdiPassword + "' >/etc/sql-to-arc/soil.password", 77, false, "password authentication failed"},
		{"wrong setting", "echo 'rdy: x' >>/etc/sql-to-arc/soil.yaml", "sed -i '/^rdy/d' /etc/sql-to-arc/soil.yaml", 78, false, "rdy: unknown setting; did you mean rdi?"},
		{"wrong RDI", "sed -i 's/^rdi: demo/rdi: other/' /etc/sql-to-arc/soil.yaml", "sed -i 's/^rdi: other/rdi: demo/' /etc/sql-to-arc/soil.yaml", 77, false, "other"},
		{"database away", "systemctl stop " + cluster, "systemctl start " + cluster, 69, true, "connection refused"},
	} {
		b.sh(c.cause)
		mark := b.mark()
		b.sh("systemctl reset-failed 'sql-to-arc@*'; systemctl start --no-block sql-to-arc@soil")
		b.until(c.what, `systemctl show -p ExecMainStatus --value sql-to-arc@soil | grep -qx `+strconv.Itoa(c.status))
		want := map[bool]string{true: "activating", false: "failed"}[c.again]
		b.until(c.what+": "+want, `test "$(systemctl show -p ActiveState --value sql-to-arc@soil)" = `+want)
		said := b.sh(since(mark) + "-o cat -p err -t sql-to-arc")
		if strings.Contains(said, "\n") || !strings.Contains(said, c.says) || !strings.Contains(said, "remedy: ") && !strings.Contains(said, "did you mean") {
			t.Errorf("%s: want one error that says %q and what to do:\n%s", c.what, c.says, said)
		}
		b.sh(c.mend + "; systemctl stop sql-to-arc@soil")
	}
}

// converterIsConfined: the program is no more than a client, and runs at night.
func (b *box) converterIsConfined(t *testing.T) {
	t.Helper()
	out := b.sh("systemd-analyze --no-pager security sql-to-arc@soil.service")
	m := regexp.MustCompile(`exposure level for .*: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatal(out)
	}
	if level, _ := strconv.ParseFloat(m[1], 64); level > 1.5 {
		t.Errorf("exposure %s, want at most 1.5\n%s", m[1], out)
	}
	t.Logf("exposure of sql-to-arc@soil.service: %s", m[1])
	if next := b.sh("systemctl list-timers --no-legend sql-to-arc@soil.timer"); !strings.Contains(next, "sql-to-arc@soil.service") || !strings.Contains(next, " 02:") {
		t.Errorf("next run: %s", next)
	}
	if out := b.sh("systemd-analyze --man=no verify sql-to-arc@soil.service sql-to-arc@soil.timer 2>&1 || true"); strings.Contains(out, "sql-to-arc") {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
}
