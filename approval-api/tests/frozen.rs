//! Version 1 of the approval protocol is only ever added to: everything that stood in it when it was frozen stands in it
//! today, with the same number, type and name. tests/frozen has it as it was then, and stays as it is.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot be prepared has failed")]

use std::collections::BTreeSet;
use std::path::Path;

/// Each method, field and value of an enum, in a line of its own.
fn facts(root: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let set = protox::compile(["nightlatch/approval/v1/approval.proto"], [root]).expect("a protocol");
    let mut facts = BTreeSet::new();
    for file in &set.file {
        facts.insert(format!("{} {}", file.syntax(), file.package()));
        for message in &file.message_type {
            assert!(message.nested_type.is_empty() && message.enum_type.is_empty(), "{} is not flat", message.name());
            facts.insert(format!("message {}", message.name()));
            for field in &message.field {
                let (label, kind) = (field.label(), field.r#type());
                // What protoc makes of `optional` is a oneof too, whose number depends on other fields.
                let of = field.oneof_index.filter(|_| !field.proto3_optional());
                let of = of.map(|index| message.oneof_decl[usize::try_from(index).expect("an index")].name());
                facts.insert(format!(
                    "{}.{} = {}: {label:?} {kind:?} {}, optional {}, one of {of:?}",
                    message.name(),
                    field.name(),
                    field.number(),
                    field.type_name(),
                    field.proto3_optional(),
                ));
            }
        }
        for of in &file.enum_type {
            facts.extend(of.value.iter().map(|value| format!("{}.{} = {}", of.name(), value.name(), value.number())));
        }
        for service in &file.service {
            facts.extend(service.method.iter().map(|method| format!("{}: {method:?}", service.name())));
        }
    }
    facts
}

#[test]
fn nothing_of_version_1_was_changed_or_taken_away() {
    let (frozen, today) = (facts("tests/frozen"), facts("../proto"));
    assert!(frozen.len() > 100, "{frozen:#?}");
    let gone: Vec<_> = frozen.difference(&today).collect();
    assert!(gone.is_empty(), "old and new programs would not understand each other: {gone:#?}");
}
