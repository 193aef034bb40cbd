/** @file NumPy's format of an array. */

/** Headers are filled up with blanks to a multiple of so many bytes. */
const ALIGNED = 64;

/**
 * What comes before the numbers of a .npy file, version 1.0.
 *
 * @param type NumPy's word for it: `<f4`, `<U12`
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export function npyHeader(type: string, dims: readonly number[]): Uint8Array {
  const shape = dims.length === 1 ? `${dims[0]},` : dims.join(', ');
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape}), }`;
  const before = 10;
  const length = Math.ceil((before + text.length + 1) / ALIGNED) * ALIGNED - before;
  const bytes = Buffer.alloc(before + length, ' ');
  bytes.set([0x93, ...Buffer.from('NUMPY'), 1, 0]);
  bytes.writeUInt16LE(length, 8);
  bytes.write(text, before, 'latin1');
  bytes.write('\n', before + length - 1, 'latin1');
  return bytes;
}

/** The letters of a text as NumPy has it in an array of `<U{width}`: four bytes each, zeros behind. */
export function npyText(text: string, width: number): Uint8Array {
  const bytes = Buffer.alloc(4 * width);
  let at = 0;
  for (const letter of text) at = bytes.writeUInt32LE(letter.codePointAt(0)!, at);
  return bytes;
}
