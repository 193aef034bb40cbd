/** @file Bounds on untrusted configs, checked before they cost time or memory; a `RangeError` names the excess. */

/** Limit of a table; Swin's masks and BEiT's distances have some hundred thousand numbers. */
const MOST_NUMBERS = 2 ** 24;

/** A table derived from config sizes. @throws RangeError beyond the limit */
export function tableOf<T>(length: number, each: (i: number) => T): T[] {
  if (length <= MOST_NUMBERS) return Array.from({ length }, (_, i) => each(i));
  throw new RangeError(`a table of ${length} numbers follows from them`);
}

/** The deepest models have some thousand modules. */
const MOST_MODULES = 100_000;

/** @throws RangeError for too many modules */
export function requireModules(count: number): void {
  if (count > MOST_MODULES) throw new RangeError(`they ask for more than ${MOST_MODULES} modules`);
}

/** @throws RangeError for more layers than the checkpoint has tensors */
export function requireLayers(count: number, tensors: number): void {
  if (count > tensors) throw new RangeError(`they ask for ${count} layers, and the checkpoint has ${tensors} tensors`);
}
