//! Vector instructions that not every processor of the target has, found while the program runs.

/// Changes `bytes` in code that may use the widest vectors this processor has.
///
/// What is compiled so is what is inlined: `work` should be a loop, and whatever it calls `#[inline(always)]`. That nothing else is where `bytes` are, the
/// compiler has to know to use vectors, and knows of an argument alone.
pub(crate) fn widest(bytes: &mut [u8], work: impl FnOnce(&mut [u8])) {
    #[cfg(target_arch = "x86_64")]
    {
        /// # Safety
        ///
        /// The processor has AVX2.
        #[target_feature(enable = "avx2")]
        unsafe fn with_avx2(bytes: &mut [u8], work: impl FnOnce(&mut [u8])) {
            work(bytes);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: just found.
            return unsafe { with_avx2(bytes, work) };
        }
    }
    work(bytes);
}
