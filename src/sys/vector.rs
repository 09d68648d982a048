//! Vector instructions that are detected at run time.

/// Calls `work` in code that can use the widest vectors of this processor.
///
/// Only inlined code is compiled for these vectors: `work` should be a loop,
/// and all functions that it calls `#[inline(always)]`. `bytes` is an argument
/// because the compiler uses vectors only if it knows that no other reference
/// to the bytes exists.
pub(crate) fn widest(bytes: &mut [u8], work: impl FnOnce(&mut [u8])) {
    #[cfg(target_arch = "x86_64")]
    {
        /// # Safety
        ///
        /// The processor must support AVX2.
        #[target_feature(enable = "avx2")]
        unsafe fn with_avx2(bytes: &mut [u8], work: impl FnOnce(&mut [u8])) {
            work(bytes);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: AVX2 has just been detected.
            return unsafe { with_avx2(bytes, work) };
        }
    }
    work(bytes);
}
