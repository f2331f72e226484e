// Command bench measures middleware-api against what it takes the place of
// (FastAPI under Gunicorn, in peer/), against what it stands on (PostgreSQL
// alone, plain net/http) and against itself at growing sizes.
//
//	go run ./bench run      measure, write the results
//	go run ./bench report   print the goals and the tables of the results
//	go run ./bench chart    draw the results as SVG
//	go run ./bench gitlab   simulate the limits of a GitLab while a backlog drains
//
// What counts is ratios: all sides of a scenario take turns in one run, on one
// machine, with one PostgreSQL, and the median over the rounds of the ratio
// within a round is what is reported. Absolute numbers belong to the machine.
//
// It uses loopback and unix sockets only, keeps everything it makes in one
// temporary folder, and must never touch a database that it did not start.
package main
