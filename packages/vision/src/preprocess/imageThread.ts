/** @file What a thread does that loads images: the same as the thread that asks for it. */

import { type DecodedImages, decodedImages, type LoadedPixels, loadPixels } from './loadImage.ts';
import type { ImagePlan } from './imagePlan.ts';
import type { ImageRequest } from './imageRequest.ts';
import { ImagePreprocessor } from './preprocessor.ts';
import { SharpDecoder, type SharpDecoderOptions } from '../image/sharpDecoder.ts';

/** One image to load, as it is sent to a thread. */
export interface ThreadRequest {
  readonly request: ImageRequest;
  readonly plan: ImagePlan;
  readonly limits: Required<SharpDecoderOptions>;
  /** Most bytes of decoded images that the thread keeps for the next time. */
  readonly keepBytes: number;
}

/** What is needed for requests that differ in nothing but the image. */
interface Tools {
  readonly preprocessor: ImagePreprocessor;
  readonly images: DecodedImages;
}

const tools = new Map<string, Tools>();

/** Does what `request` asks. */
export function load({ request, plan, limits, keepBytes }: ThreadRequest): Promise<LoadedPixels> {
  const key = JSON.stringify([plan, limits, keepBytes]);
  let found = tools.get(key);
  if (!found) {
    const decoder = new SharpDecoder(limits);
    found = { preprocessor: new ImagePreprocessor(plan, decoder), images: decodedImages(keepBytes) };
    tools.set(key, found);
  }
  return loadPixels(request, found.preprocessor, found.images);
}
