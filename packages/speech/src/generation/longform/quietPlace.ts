/** @file Where a window may end without cutting through a word. */

/** The quietest piece of this length is cut through, in the last third of the window. */
const SECONDS = 0.1;

/** The middle of the quietest tenth of a second in the last third of the samples. */
export function quietPlace(samples: Float32Array, sampleRate: number): number {
  const size = Math.max(1, Math.round(SECONDS * sampleRate));
  const first = Math.floor((samples.length * 2) / 3);
  let [best, least] = [samples.length, Infinity];
  for (let start = first; start + size <= samples.length; start += size) {
    let energy = 0;
    for (let i = start; i < start + size; i++) energy += samples[i]! ** 2;
    // The last of equal ones: windows are long.
    if (energy > least) continue;
    least = energy;
    best = start + Math.floor(size / 2);
  }
  return best;
}
