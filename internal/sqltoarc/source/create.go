package source

import (
	"fmt"
	"strings"
)

// DialectByName finds a dialect by what people call it in one word: postgresql,
// mysql, mariadb, mssql or oracle.
func DialectByName(name string) (*Dialect, bool) {
	switch strings.ToLower(name) {
	case "postgresql", "postgres":
		return PostgreSQL, true
	case "mysql", "mariadb":
		return MySQL, true
	case "mssql", "sqlserver":
		return SQLServer, true
	case "oracle":
		return Oracle, true
	}
	return nil, false
}

// typeName gives the type that a column of an empty view is cast to.
func (d *Dialect) typeName(k Kind) string {
	names := map[*Dialect][3]string{
		PostgreSQL: {"text", "timestamp", "integer"},
		MySQL:      {"CHAR", "DATETIME", "SIGNED"},
		SQLServer:  {"nvarchar(4000)", "datetime2", "int"},
		Oracle:     {"VARCHAR2(4000)", "TIMESTAMP", "NUMBER(10)"},
	}
	return names[d][k]
}

// CreateViews gives the statements that create every view empty, to be filled
// in by the owner of the database.
func (d *Dialect) CreateViews() string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- Empty views for sql-to-arc, %s.\n", d.Name)
	b.WriteString("-- Replace each NULL by an expression over your tables, and WHERE 1 = 0 by FROM and\n")
	b.WriteString("-- WHERE of your own. Then `sql-to-arc check` tells what is missing.\n")
	for _, v := range Views() {
		create, from := "CREATE OR REPLACE VIEW ", ""
		switch d {
		case SQLServer:
			create = "CREATE OR ALTER VIEW "
			// A view has to be the first statement of its batch.
			b.WriteString("\nGO")
		case Oracle, MySQL:
			from = " FROM dual"
		}
		fmt.Fprintf(&b, "\n%s%s AS\nSELECT\n", create, d.quote(v.Name))
		for i, c := range v.Columns {
			comma, remark := ",", "optional"
			if i == len(v.Columns)-1 {
				comma = ""
			}
			switch {
			case c.Required:
				remark = "required"
			case c.Extra:
				remark = "optional; differs whenever the dataset has changed"
			}
			expression := "CAST(NULL AS " + d.typeName(c.Kind) + ") AS " + d.quote(c.Name) + comma
			fmt.Fprintf(&b, "    %-72s -- %s\n", expression, remark)
		}
		b.WriteString(strings.TrimPrefix(from, " "))
		if from != "" {
			b.WriteString("\n")
		}
		b.WriteString("WHERE 1 = 0;\n")
	}
	if d == SQLServer {
		b.WriteString("GO\n")
	}
	return b.String()
}
