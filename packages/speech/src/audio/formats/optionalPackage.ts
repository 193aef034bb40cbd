/** @file Loads the package of a decoder, which may not be installed. */

import { type ByteCursor, soundInvalid } from '../byteCursor.ts';

/**
 * What `load` imports.
 *
 * @param name the package, for the message
 * @throws OnnxLoraError `DATA_INVALID`, saying how to install it, when it cannot be loaded
 */
export async function optionalPackage<Module>(
  bytes: ByteCursor,
  kind: string,
  name: string,
  load: () => Promise<Module>,
): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    throw soundInvalid(
      bytes,
      `is ${kind}, which the package ${name} decodes, but that cannot be loaded. Run "npm install ${name}", or convert the sound, for example with "ffmpeg -i INPUT -c:a pcm_s16le OUTPUT.wav".`,
      cause,
    );
  }
}
