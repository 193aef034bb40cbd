/** @file Numbers as bytes, in little-endian order. */

/** A number's form, by its bits: an unsigned integer, or a float. */
type Form = 'u16' | 'u32' | 'u64' | 'f32' | 'f64';

/** The bytes of numbers, one after another: `packed('u32', 7, 'u16', 1)` has six. Integers are below 2^53. */
export function packed(...fields: readonly (Form | number)[]): Uint8Array<ArrayBuffer> {
  const bytes = new DataView(new ArrayBuffer(fields.reduce((sum: number, form) => sum + (typeof form === 'string' ? Number(form.slice(1)) / 8 : 0), 0))); // prettier-ignore
  let at = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const [form, value] = fields.slice(i, i + 2) as [Form, number];
    if (form === 'u16') bytes.setUint16(at, value, true);
    else if (form === 'u32') bytes.setUint32(at, value, true);
    else if (form === 'u64') bytes.setBigUint64(at, BigInt(value), true);
    else if (form === 'f32') bytes.setFloat32(at, value, true);
    else bytes.setFloat64(at, value, true);
    at += Number(form.slice(1)) / 8;
  }
  return new Uint8Array(bytes.buffer);
}
