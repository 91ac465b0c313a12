#!/bin/bash
# Builds the Debian package, and beside it what its parts are (SBOM) and the checksums, into target/debian/.
#
#   packaging/build.sh [--no-build] [--version VERSION]
#
#   --no-build  packs the programs that target/release has already
#   --version   as which version it is packed, such as 0.1.0-2; the default is the version in Cargo.toml, and -1
#
# It needs cargo-deb 3.8.0 and cargo-cyclonedx 0.5.9 (cargo install --locked), dpkg-dev, git and python3, and packs for the
# architecture that it runs on. The same commit, built by the same Rust in the same directory, gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

build=yes
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)-1
while (($#)); do
    case $1 in
        --no-build) build=no ;;
        --version) version=${2:?--version VERSION} && shift ;;
        *) sed -n '2,11p' "$0" >&2 && exit 64 ;;
    esac
    shift
done
# Times in the package are those of the commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH PYTHONDONTWRITEBYTECODE=1

# One at a time, as .ci/run does: together, the features that one asks for would be on in the other too.
if [[ $build == yes ]]; then
    cargo build --locked --release -p nightlatch
    cargo build --locked --release -p nightlatch-bot
fi

# What the programs themselves write.
made=target/package
rm -rf "$made"
mkdir -p "$made/man" "$made/bash" "$made/zsh" "$made/fish"
for program in nightlatch nightlatch-bot; do
    target/release/$program man --out "$made/man"
    target/release/$program completions bash >"$made/bash/$program"
    target/release/$program completions zsh >"$made/zsh/_$program"
    target/release/$program completions fish >"$made/fish/$program.fish"
done
packaging/licenses.py | gzip -9n >"$made/third-party-licenses.gz"
cat >"$made/changelog" <<EOF
nightlatch ($version) unstable; urgency=medium

  * See CHANGELOG.md.

 -- the nightlatch authors <nightlatch@localhost>  $(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
EOF

out=target/debian
architecture=$(dpkg --print-architecture)
package=nightlatch_${version}_$architecture
rm -f "$out/$package".* "$out/SHA256SUMS"
cargo deb --quiet --locked --no-build --no-strip --deb-version "$version" --output "$out/$package.deb" >/dev/null

# cargo-cyclonedx writes a file for each package of the workspace, beside its manifest.
cargo cyclonedx --quiet --format json --spec-version 1.5 --override-filename sbom.cdx
packaging/sbom.py nightlatch sbom.cdx.json >"$out/$package.nightlatch.cdx.json"
packaging/sbom.py nightlatch-bot bot/sbom.cdx.json >"$out/$package.nightlatch-bot.cdx.json"
rm sbom.cdx.json ./*/sbom.cdx.json

(cd "$out" && sha256sum "$package".* >SHA256SUMS && cat SHA256SUMS)
