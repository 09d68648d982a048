//! `ndferry convert`: a file's arrays in another format or byte order.

use ndferry::file::DumpOptions;

use super::{args::ConvertArgs, failure::Failure, input};

pub fn run(args: &ConvertArgs) -> Result<(), Failure> {
    let file = input::open(&args.input, args.limit.options(), args.raw.layout(args.order))?;
    if let Some(name) = &args.array {
        // An unknown one is this file's matter, whatever becomes of the other.
        file.entry(name).map_err(|error| Failure::of(&args.input, &error))?;
    }
    let mut options = DumpOptions::new();
    if let Some(byte_order) = args.byte_order {
        options = options.byte_order(byte_order.into());
    }
    // Of raw input the argument told where the elements lie, and they stay as they lie.
    if let (Some(order), None) = (args.order, &args.raw.raw) {
        options = options.order(order);
    }
    options = args.compress.into_iter().fold(options, DumpOptions::compress);
    options = args.align.into_iter().fold(options, DumpOptions::alignment);
    ndferry::convert(&file, args.array.as_deref(), &args.output, &options)
        .map_err(|error| Failure::of(&args.input, &error))
}
