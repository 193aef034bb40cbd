/** @file Which part of a protein that is longer than the model is looked at for a position. */

/** From, and up to but without. */
export type Span = readonly [from: number, to: number];

/**
 * The `size` positions with `position` in their middle, or nearer to an end of the sequence where it is near one: the "optimal
 * window" of ProteinGym (Notin et al. 2023, `get_optimal_window`), here counted in residues, to which the model's special
 * tokens are added.
 */
export function windowAround(position: number, length: number, size: number): Span {
  const from = Math.max(0, Math.min(position - Math.floor(size / 2), length - size));
  return [from, Math.min(length, from + size)];
}

/**
 * Of windows that overlap by half, the one in which `position` is nearest to the middle, so that many positions share a window:
 * all but those near the ends of the sequence have at least a quarter of the window on each side.
 */
export function sharedWindow(position: number, length: number, size: number): Span {
  if (length <= size) return [0, length];
  const step = Math.max(1, Math.floor(size / 2));
  const nearest = Math.max(0, Math.round((position - size / 2) / step)) * step;
  const from = Math.min(nearest, length - size);
  return [from, from + size];
}
