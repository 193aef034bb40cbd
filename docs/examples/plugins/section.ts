/** @file A section for the report of every run, whatever its task. */

import type { SectionFactory } from '@onnx-lora/sdk/plugin';

/** How far each tensor of the adapter is from zero: layers that stayed there learned nothing. */
export const sizes: SectionFactory = {
  name: 'sizes',
  sections: ({ adapter }) => [
    {
      kind: 'table',
      title: 'Sizes of the adapter',
      text: 'The root of the mean square of each tensor.',
      columns: ['tensor', 'shape', 'size'],
      rows: [...adapter.tensors].map(([name, { dims, data }]) => {
        const squares = Array.from(data, Number).reduce((sum, value) => sum + value * value, 0);
        return [
          name.replace('base_model.model.', ''),
          dims.join(' × '),
          Math.sqrt(squares / data.length).toPrecision(3),
        ];
      }),
    },
  ],
};
