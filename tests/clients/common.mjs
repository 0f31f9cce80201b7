// What a run of a client is given.
const { TIELINE_URL: url, TIELINE_TOKEN: token, TIELINE_ACCOUNT: account } = process.env;
export { url, token };
export const accountId = Number(account);
