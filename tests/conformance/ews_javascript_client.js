// ews-javascript-api, as it comes, against a simulator. Prints one JSON object.
//
//     node ews_javascript_client.js '{"modules": FOLDER, "url": …, "user": …, "password": …, "mailbox": …,
//                                     "start": …, "end": …, "names": [ENTRY…], "callback": …, "domain": …}'
"use strict";

const wanted = JSON.parse(process.argv[2]);
const ews = require(`${wanted.modules}/ews-javascript-api`);
const { XhrApi } = require(`${wanted.modules}/@ewsjs/xhr`);

function connect() {
    const service = new ews.ExchangeService(ews.ExchangeVersion.Exchange2013_SP1);
    service.Url = new ews.Uri(wanted.url);
    service.Credentials = new ews.WebCredentials(wanted.user, wanted.password);
    service.XHRApi = new XhrApi({ rejectUnauthorized: true }).useNtlmAuthentication(wanted.user, wanted.password);
    service.ImpersonatedUserId = new ews.ImpersonatedUserId(ews.ConnectingIdType.SmtpAddress, wanted.mailbox);
    service.HttpHeaders.Add("X-AnchorMailbox", wanted.mailbox);
    return service;
}

async function view(service) {
    const span = new ews.CalendarView(ews.DateTime.Parse(wanted.start), ews.DateTime.Parse(wanted.end));
    const found = await service.FindAppointments(ews.WellKnownFolderName.Calendar, span);
    return found.Items.map((item) => ({
        subject: item.Subject,
        start: item.Start.ToISOString(),
        end: item.End.ToISOString(),
        shown: ews.LegacyFreeBusyStatus[item.LegacyFreeBusyStatus],
        sensitivity: ews.Sensitivity[item.Sensitivity],
    }));
}

async function resolve(service, entry) {
    const found = await service.ResolveName(entry, ews.ResolveNameSearchLocation.DirectoryOnly, true);
    return found.GetEnumerator().map((match) => match.Mailbox.Address);
}

async function subscribe(service) {
    const subscription = await service.SubscribeToPushNotifications(
        [new ews.FolderId(ews.WellKnownFolderName.Calendar)],
        new ews.Uri(wanted.callback), 30, null,
        ews.EventType.Created, ews.EventType.Modified, ews.EventType.Moved, ews.EventType.Deleted,
    );
    return { id: subscription.Id, watermark: subscription.Watermark };
}

// What autodiscover gives for a mailbox where the client knows only a domain.
async function discover() {
    const service = new ews.AutodiscoverService(wanted.domain, ews.ExchangeVersion.Exchange2013);
    service.Credentials = new ews.WebCredentials(wanted.user, wanted.password);
    service.XHRApi = new XhrApi({ rejectUnauthorized: true }).useNtlmAuthentication(wanted.user, wanted.password);
    const asked = ["InternalEwsUrl", "ExternalEwsUrl", "EwsSupportedSchemas"];
    const found = await service.GetUserSettings(wanted.mailbox, asked.map((name) => ews.UserSettingName[name]));
    const settings = Object.fromEntries(asked.map((name) => [name, found.GetSettingValue(ews.UserSettingName[name])]));
    return { settings, error: ews.AutodiscoverErrorCode[found.ErrorCode], url: service.Url.ToString() };
}

async function main() {
    const service = connect();
    try {
        if (wanted.domain) {
            console.log(JSON.stringify(await discover()));
            return;
        }
        const names = [];
        const items = await view(service);
        for (const entry of wanted.names || []) names.push(await resolve(service, entry));
        const subscription = wanted.callback ? await subscribe(service) : null;
        console.log(JSON.stringify({ items, names, subscription, version: [service.ServerInfo.MajorVersion, service.ServerInfo.MinorVersion] }));
    } catch (error) {
        console.log(JSON.stringify({
            error: String(error.message || error),
            code: error.ResponseCode === undefined ? null : ews.ServiceError[error.ResponseCode],
        }));
    }
}

main();
