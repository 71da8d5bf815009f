// What t/lib/need h2spec builds: h2spec with every module it is made of, of
// the version and with the sum (go.sum) that it was tested with. v2.2.1 is the
// last that go can fetch by a version; v2.6.0 has one case more, which passes,
// too (hpack/2.3.3/2; built from its source by hand).
module h2spec

go 1.19

require github.com/summerwind/h2spec v2.2.1+incompatible

require (
	github.com/fatih/color v1.16.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/mattn/go-colorable v0.1.13 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/spf13/cobra v1.8.0 // indirect
	github.com/spf13/pflag v1.0.5 // indirect
	golang.org/x/net v0.17.0 // indirect
	golang.org/x/sys v0.14.0 // indirect
	golang.org/x/text v0.13.0 // indirect
)
