import { describe, expect, it } from 'vitest';
import { golden } from '../../fixtures/optimizers/golden.ts';
import { parseTensorName } from '../adapter/formats/tensorNames.ts';
import { loraPlus, ruleFor, type TrainedTensor, withoutDecay } from './groups.ts';

const tensors = Object.entries(golden.loraPlus).map(([name, { dims, ...expected }]) => {
  const { module, role } = parseTensorName(name);
  return { tensor: { name, module, role, dims } satisfies TrainedTensor, expected };
});

describe('parameter groups', () => {
  it('are those of PEFT for LoRA+', () => {
    const lr = 0.01;
    const groups = loraPlus({ ratio: 16, lr, embeddingLr: 0.002 });
    const rules = tensors.map(({ tensor, expected }) => {
      const { lrFactor, weightDecay } = ruleFor(tensor, groups, 0.1);
      return [tensor.name, { lr: lr * lrFactor, weightDecay, trainerDecays: expected.trainerDecays }];
    });
    expect(Object.fromEntries(rules)).toEqual(
      Object.fromEntries(
        tensors.map(({ tensor, expected }) => [
          tensor.name,
          { ...expected, lr: expect.closeTo(expected.lr, 12) as number },
        ]),
      ),
    );
  });

  it("leave out of decay what transformers' Trainer does", () => {
    const decayed = tensors.filter(({ tensor }) => ruleFor(tensor, [withoutDecay], 0.1).weightDecay > 0);
    expect(decayed.map(({ tensor }) => tensor.name)).toEqual(
      tensors.filter(({ expected }) => expected.trainerDecays).map(({ tensor }) => tensor.name),
    );
  });

  it('override each other in order, each in what it says', () => {
    const tensor: TrainedTensor = { name: 'x', module: 'vit.layers.3.query', role: 'lora_A', dims: [4, 2] };
    const groups = [
      { match: ['query', 'value'], lrFactor: 2, weightDecay: 0.5 },
      { match: String.raw`vit\.layers\.[0-3]\..*`, lrFactor: 3 },
      { match: 'layers', lrFactor: 7 },
      { match: ({ role }: TrainedTensor) => role === 'lora_B', weightDecay: 7 },
    ];
    expect(ruleFor(tensor, groups, 0.1)).toEqual({ lrFactor: 3, weightDecay: 0.5 });
    expect(ruleFor({ ...tensor, role: 'lora_B', module: 'vit.layers.4.key' }, groups, 0.1)).toEqual({
      lrFactor: 1,
      weightDecay: 7,
    });
  });
});
