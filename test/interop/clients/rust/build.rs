fn main() -> std::io::Result<()> {
    let mut config = tonic_prost_build::Config::new();
    // Without this crate and line, there must be a `protoc` on the PATH.
    config.protoc_executable(protoc_bin_vendored::protoc_bin_path().expect("no protoc for this platform"));
    tonic_prost_build::configure().extern_path(".google.rpc", "::tonic_types::pb").compile_with_config(
        config,
        &[
            "proto/files/v1/file_service.proto",
            "proto/files/v1/file_events_service.proto",
            "proto/files/v1/error_reason.proto",
        ],
        &["proto"],
    )
}
