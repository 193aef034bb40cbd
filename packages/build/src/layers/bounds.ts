/** @file Bounds on what a stranger's config may ask for, before it takes time and memory: a `RangeError` says what is too much. */

/** Numbers of the largest table that is made: those of Swin's masks and of BEiT's distances have some hundred thousand. */
const MOST_NUMBERS = 2 ** 24;

/** A table that follows from sizes of the config, number by number. @throws RangeError for one beyond measure */
export function tableOf<T>(length: number, each: (i: number) => T): T[] {
  if (length <= MOST_NUMBERS) return Array.from({ length }, (_, i) => each(i));
  throw new RangeError(`a table of ${length} numbers follows from them`);
}

/** Modules of the deepest models there are: some thousand. */
const MOST_MODULES = 100_000;

/** @throws RangeError for more modules than any model has */
export function requireModules(count: number): void {
  if (count > MOST_MODULES) throw new RangeError(`they ask for more than ${MOST_MODULES} modules`);
}

/** Refuses more layers than a checkpoint has tensors. @throws RangeError */
export function requireLayers(count: number, tensors: number): void {
  if (count > tensors) throw new RangeError(`they ask for ${count} layers, and the checkpoint has ${tensors} tensors`);
}
