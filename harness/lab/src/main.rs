//! The program `assay-lab`; everything is in the library of the same name.

fn main() -> std::process::ExitCode {
    assay_lab::main()
}
