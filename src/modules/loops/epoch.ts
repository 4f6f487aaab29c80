import { z } from 'zod';

export const epochNumber = () =>
  z
    .int()
    .min(1)
    .max(2 ** 31 - 1);
