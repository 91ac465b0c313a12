//! Compiles the approval protocol to stubs in pure Rust: no protoc has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["nightlatch/approval/v1/approval.proto"], ["../proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=../proto");
    Ok(())
}
