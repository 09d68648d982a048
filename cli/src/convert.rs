//! `ndferry convert`: writes the arrays of a file in another format or order.

use std::path::PathBuf;

use clap::{
    Args, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
};
use ndferry::{
    array::Order,
    dtype::ByteOrder,
    file::{Compression, DumpOptions, Format},
};

use crate::{
    args::{self, LimitArgs, RawArgs},
    failure::Failure,
    input,
};

/// Convert a file to the format of the output's extension
#[derive(Args)]
#[command(
    long_about = "Convert a file to the format of the output's extension\n\n\
        OUT is replaced atomically, and may be IN itself. Elements keep their type, byte order \
        and memory order, unless an option changes them or the format of OUT supports only one. \
        Compressed arrays are decompressed, unless --compress is given. Options that the format \
        does not support are refused. So is a file with something that the format of OUT cannot \
        contain, unless --drop is given: bytes after an array, metadata, or values of a .ferry file \
        that are not in an array.",
    after_help = "\
Examples:
  ndferry convert survey.npy survey.ferry
  ndferry convert model.ferry weight.npy --array model.weight
  ndferry convert model.safetensors model.ferry
  ndferry convert old-mac.npy ready.npy --byte-order native
  ndferry convert survey.npy archive.ferry --compress zstd:19
  ndferry convert --raw '<f4' --shape 640,480 sensor.dat sensor.npy

Exit codes:
  0  OUT was written
  1  OUT was not written
  2  The arguments are invalid"
)]
pub struct ConvertArgs {
    /// File to read
    #[arg(value_name = "IN")]
    input: PathBuf,

    #[arg(
        value_name = "OUT",
        help = format!("File to write, ending in {}", args::writable_extensions("or")),
        value_parser = PathBufValueParser::new().try_map(output),
    )]
    output: PathBuf,

    /// Byte order to write [default: unchanged]
    #[arg(long, value_name = "ORDER")]
    byte_order: Option<TargetByteOrder>,

    /// Memory order to write: C or F (with --raw, the order of IN)
    #[arg(long, value_name = "C|F", value_parser = args::order)]
    order: Option<Order>,

    /// Array to write, if IN has several
    #[arg(long, value_name = "NAME")]
    array: Option<String>,

    /// Compress arrays with zstd, zstd:1 to zstd:22, or lz4
    #[arg(long, value_name = "CODEC")]
    compress: Option<Compression>,

    /// Align arrays to a power of two from 64 to 2097152 bytes
    #[arg(long, value_name = "BYTES", value_parser = args::bytes, allow_negative_numbers = true)]
    align: Option<u64>,

    /// Leave out what the format of OUT cannot contain
    #[arg(long)]
    drop: bool,

    #[command(flatten)]
    limit: LimitArgs,

    #[command(flatten)]
    raw: RawArgs,
}

/// Byte orders that can be written.
#[derive(Clone, Copy, ValueEnum)]
enum TargetByteOrder {
    /// Least significant byte first
    Little,
    /// Most significant byte first
    Big,
    /// Byte order of this machine, so that the file can be mapped here
    Native,
}

impl From<TargetByteOrder> for ByteOrder {
    fn from(order: TargetByteOrder) -> Self {
        match order {
            TargetByteOrder::Little => Self::Little,
            TargetByteOrder::Big => Self::Big,
            TargetByteOrder::Native => Self::NATIVE,
        }
    }
}

/// Checks that the extension of `path` names a format that can be written.
fn output(path: PathBuf) -> Result<PathBuf, String> {
    Format::from_path(&path).map(|_| path).map_err(|error| error.message())
}

pub fn run(args: &ConvertArgs) -> Result<(), Failure> {
    let file = input::open(&args.input, args.limit.options(), args.raw.layout(args.order))?;
    if let Some(name) = &args.array {
        // Checked first, so that an unknown name is reported for the input.
        file.entry(name).map_err(|error| Failure::of(&args.input, &error))?;
    }
    let mut options = DumpOptions::new().allow_loss(args.drop);
    if let Some(byte_order) = args.byte_order {
        options = options.byte_order(byte_order.into());
    }
    // With `--raw`, `--order` describes the input, whose order is kept.
    if let (Some(order), None) = (args.order, &args.raw.raw) {
        options = options.order(order);
    }
    options = args.compress.into_iter().fold(options, DumpOptions::compress);
    options = args.align.into_iter().fold(options, DumpOptions::alignment);
    ndferry::convert(&file, args.array.as_deref(), &args.output, &options)
        .map_err(|error| Failure::of(&args.input, &error))
}
