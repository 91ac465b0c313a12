//! The configuration parser: whatever the text, it ends with a configuration or with mistakes that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nightlatch::config::{Config, Error, KeySource};
use nightlatch::key::stretching::Stretching;

fuzz_target!(|text: &str| match Config::parse(text, "nightlatch.toml") {
    Ok((config, warnings)) => {
        assert_eq!(config.keys.iter().filter(|key| key.seals).count(), 1, "exactly one key seals");
        assert!(!config.installation.is_nil());
        for key in &config.keys {
            let KeySource::Passphrase(source) = &key.source else { continue };
            let stretching = Stretching::new(source.salt, source.memory, source.passes, source.lanes);
            assert!(stretching.is_ok(), "no reader accepts what would be sealed under it");
        }
        warnings.iter().for_each(|warning| assert!(!warning.to_string().contains('\u{1b}')));
    }
    Err(error) => {
        if let Error::Invalid(problems) = &error {
            assert!(!problems.told().is_empty() && problems.told().len() <= 20);
        }
        assert!(!error.to_string().contains('\u{1b}'), "an escape sequence would reach the terminal");
    }
});
