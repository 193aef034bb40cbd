/** @file Slaney's mel filter bank. */

/** Where the scale turns from linear to logarithmic, Hz, and the mel there. */
const BREAK_HERTZ = 1000;
const BREAK_MEL = 15;
/** Mels per natural-log unit above the break: 27 mels from 1 kHz to 6.4 kHz. */
const MELS_PER_LOG = 27 / Math.log(6.4);

/**
 * Triangular filters on Slaney's mel scale from 0 Hz to `maxFrequency`, each of area 1 ("slaney" scale and norm), as a
 * row-major matrix `[bins, mels]`. Bin k stands for `k · sampleRate / 2 / (bins - 1)` Hz.
 *
 * @see M. Slaney, Auditory Toolbox, 1998
 */
export function melFilters(bins: number, mels: number, sampleRate: number, maxFrequency: number): Float64Array {
  const top = toMel(maxFrequency);
  const edges = Array.from({ length: mels + 2 }, (_, i) => toHertz((top * i) / (mels + 1)));
  const filters = new Float64Array(bins * mels);
  for (let mel = 0; mel < mels; mel++) {
    const [low, centre, high] = [edges[mel]!, edges[mel + 1]!, edges[mel + 2]!];
    for (let bin = 0; bin < bins; bin++) {
      const hertz = (sampleRate / 2 / (bins - 1)) * bin;
      const height = Math.min((hertz - low) / (centre - low), (high - hertz) / (high - centre));
      filters[bin * mels + mel] = (Math.max(0, height) * 2) / (high - low);
    }
  }
  return filters;
}

function toMel(hertz: number): number {
  return hertz < BREAK_HERTZ ? (3 * hertz) / 200 : BREAK_MEL + Math.log(hertz / BREAK_HERTZ) * MELS_PER_LOG;
}

function toHertz(mel: number): number {
  return mel < BREAK_MEL ? (200 * mel) / 3 : BREAK_HERTZ * Math.exp((mel - BREAK_MEL) / MELS_PER_LOG);
}
