export { type ActiveHalt, activeHalts, HaltService, type HaltTarget, haltsOver } from './halts.ts';
export { budgetRoutes } from './routes.ts';
