//! Compiles proto/ to stubs in pure Rust: no protoc has to be installed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["sidero/kms/kms.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // The messages carry secrets, which a derived Debug would print.
        .skip_debug(["sidero.kms.Request", "sidero.kms.Response"])
        .compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
