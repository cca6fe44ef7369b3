//! A package's own signature: within an RPM package, beside one of pacman's or in the database that lists
//! it. A .deb has none (deb(5); debsig-verify's is not asked for by apt or dpkg).

use std::io::{BufReader, Cursor, Seek as _};

use assay_content::openpgp::{Certificates, better};
use assay_packages::contents::{PackageFormat, rpm_signatures};
use assay_packages::role::Role;
use assay_wire::package::Signature;

use super::lists::Lists;
use super::roots::MOST_SIGNATURE;
use super::{Reading, Wanted};

/// Checks a package's own signature.
pub(super) fn signature(
    reading: &Reading<'_>,
    package: &Wanted<'_>,
    certificates: &Certificates,
    lists: &Lists,
) -> Signature {
    let checked = match package.format {
        PackageFormat::Deb => Ok(Signature::None),
        PackageFormat::Rpm => of_rpm(reading, package, certificates),
        PackageFormat::Pacman => of_pacman(reading, package, certificates, lists),
    };
    checked.unwrap_or_else(|message| Signature::Bad { message })
}

fn of_rpm(
    reading: &Reading<'_>,
    package: &Wanted<'_>,
    certificates: &Certificates,
) -> Result<Signature, String> {
    let bytes = BufReader::with_capacity(256 << 10, reading.open(package.arrived)?);
    let signed = rpm_signatures(bytes).map_err(|error| error.to_string())?;
    if signed.signatures.is_empty() && signed.has_old {
        return Err("it is of header and payload together, as RPM 3 made them".to_owned());
    }
    let mut header = Cursor::new(signed.header);
    let signatures = signed.signatures.iter();
    let checked = signatures
        .map(|signature| certificates.check_file(signature, &mut header, reading.given.now));
    Ok(checked.fold(Signature::None, better))
}

fn of_pacman(
    reading: &Reading<'_>,
    package: &Wanted<'_>,
    certificates: &Certificates,
    lists: &Lists,
) -> Result<Signature, String> {
    // Any mirror's will do: it is of these bytes or it is not.
    let name = format!("{}.sig", package.arrived.name());
    let beside = reading.given.arrived.iter();
    let beside = beside.filter(|other| other.role == Role::Signature && other.name() == name);
    let mut signatures: Vec<Vec<u8>> = beside
        .filter_map(|other| reading.small(other, MOST_SIGNATURE))
        .collect();
    let listed = lists.signature(&package.arrived.sha256);
    signatures.extend(listed.map(<[u8]>::to_vec));
    if signatures.is_empty() {
        return Ok(Signature::None);
    }
    let mut data = reading.open_file(package.arrived)?;
    let mut best = Signature::None;
    for signature in signatures {
        data.rewind().map_err(|error| error.to_string())?;
        best = better(
            best,
            certificates.check_file(&signature, &mut data, reading.given.now),
        );
    }
    Ok(best)
}
