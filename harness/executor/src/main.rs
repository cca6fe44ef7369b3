//! The static binary inside the sandbox. Everything is in the library; see its front page.

use std::process::ExitCode;

fn main() -> ExitCode {
    assay_executor::main()
}
