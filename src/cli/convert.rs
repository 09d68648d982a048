//! `ndferry convert`: a file's arrays in another format or byte order.

use ndferry::DumpOptions;

use super::{args::ConvertArgs, failure::Failure, input};

pub fn run(args: &ConvertArgs) -> Result<(), Failure> {
    let file = input::open(&args.input, &args.limit.options(), &args.raw, args.order)?;
    if args.array.is_some() {
        input::select(&file, args.array.as_deref())?;
    }
    let mut options = DumpOptions::new();
    if let Some(byte_order) = args.byte_order {
        options = options.byte_order(byte_order.into());
    }
    // Of raw input the argument told where the elements lie, and they stay as they lie.
    if let (Some(order), None) = (args.order, &args.raw.raw) {
        options = options.order(order);
    }
    ndferry::convert(&file, args.array.as_deref(), &args.output, &options)
        .map_err(|error| Failure::of(&args.input, &error))
}
