/** @file Compression in zlib's formats on a page. */

export { zlibSync as deflateSync } from 'fflate';

/** Decompresses gzip of one member while reading; `code` of errors begins as Node's. */
export async function* gunzipped(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { readable, writable } = new DecompressionStream('gzip');
  const [reader, writer] = [readable.getReader(), writable.getWriter()];
  let failure: { readonly cause: unknown } | undefined;
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      yield* bytes;
    } catch (cause) {
      failure = { cause };
      throw cause;
    }
  }
  const writing = (async (): Promise<void> => {
    try {
      for await (const piece of source()) await writer.write(piece);
      await writer.close();
    } catch (cause) {
      await writer.abort(cause);
    }
  })();
  // The reader meets its failures.
  writing.catch(() => undefined);
  try {
    for (;;) {
      const { value, done } = (await reader.read()) as { readonly value?: Uint8Array; readonly done: boolean };
      if (done) return;
      yield value!;
    }
  } catch (cause) {
    if (failure) throw failure.cause;
    throw Object.assign(new Error((cause as Error).message, { cause }), { code: 'Z_DATA_ERROR' });
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
