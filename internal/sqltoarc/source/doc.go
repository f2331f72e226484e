// Package source reads the datasets of a research data infrastructure out of
// its SQL database: PostgreSQL, MySQL and MariaDB, Microsoft SQL Server and
// Oracle. It knows the documented views (and the three tables of the first
// generation), checks them, and hands out batches of datasets, each with all of
// its studies, assays, contacts, publications and annotation cells.
//
// One run sees one consistent snapshot, passes once over the investigations and
// holds a bounded part of them in memory. The package must never write to the
// database, and it does not judge what the values mean.
//
// [Reader.Next] may be called by any number of goroutines; everything else
// belongs to one.
package source
