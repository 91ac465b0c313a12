//! The nightlatch command: the key server, and the tools for the people who run it.

fn main() -> std::process::ExitCode {
    nightlatch::cli::main(std::env::args_os())
}
