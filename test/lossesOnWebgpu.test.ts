/** @file Every loss on the WebGPU provider: torch's numbers, and nothing left to the CPU but CTC's recursion. */

import { describe, expect, it } from 'vitest';
import { furthest } from '../packages/sdk/fixtures/losses/furthest.ts';
import { type Golden, goldens, lossGraph } from '../packages/sdk/fixtures/losses/goldens.ts';
import { OnnxLoraError } from '../packages/sdk/src/errors.ts';
import { sessionModel } from '../packages/sdk/src/ops/session/sessionModel.ts';
import { OrtRuntime } from '../packages/sdk/src/runtime/ort.ts';
import type { Session } from '../packages/sdk/src/runtime/session.ts';

function webgpu(golden: Golden): Promise<Session> {
  const { model } = lossGraph(golden);
  return new OrtRuntime().createSession({ ...sessionModel(model), name: golden.loss }, { provider: 'webgpu' });
}

const firsts = goldens.filter(({ loss }, i) => goldens.findIndex((golden) => golden.loss === loss) === i);

/** Undefined when a WebGPU session can be made here. */
const whyNot = await (async (): Promise<string | undefined> => {
  try {
    await (await webgpu(firsts[0]!)).release();
    return undefined;
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'PROVIDER_UNAVAILABLE') return error.message;
    throw error;
  }
})();
if (whyNot !== undefined) console.warn(`The WebGPU tests of losses are skipped. ${whyNot}`);

describe.skipIf(whyNot !== undefined)('on WebGPU', () => {
  it.each(firsts)('$loss', async (golden) => {
    const { value, gradients } = lossGraph(golden);
    const session = await webgpu(golden);
    try {
      const outputs = await session.run(golden.feeds);
      expect(furthest(outputs[value]!.data, golden.value.data)).toBeLessThan(1e-3);
      for (const [name, expected] of Object.entries(golden.gradients))
        expect(furthest(outputs[gradients.get(name)!]!.data, expected), name).toBeLessThan(1e-3);
      const { fallenBack } = await session.providerReport!(golden.feeds);
      const copied = fallenBack.filter(({ reason }) => reason === 'no-kernel').map(({ op }) => op);
      // CTC's is a recursion in float64, which WebGPU does not have.
      expect(golden.loss === 'ctc' ? copied.includes('Scan') : copied.length === 0, copied.join()).toBe(true);
    } finally {
      await session.release();
    }
  });
});
