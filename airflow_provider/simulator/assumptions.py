"""What the simulator does where the documentation of the vendors says nothing, or says two things.

Printed by ``python -m airflow_provider.simulator --assumptions``.
"""

from __future__ import annotations

ASSUMPTIONS: dict[str, list[str]] = {
    "both": [
        "MB and GB are binary units.",
        "Key, plan and rate limit are checked in this order, before anything else; a request refused with "
        "429 does not count against the limit, any other does, whatever its answer.",
        "Timestamps have whole seconds, cut off, and follow the wall clock plus the time that a test has "
        "skipped.",
        "What a time scale shortens: processing, lifetimes of links, rate-limit windows, simulated delays. "
        "Retry-After stays in real seconds, at least 1.",
        "Keys named by a test may share a workspace or account; any other key has one of its own.",
        "Unknown JSON fields are ignored, except those of a submission's asset.",
        "A path that does not exist is a 404 before the key is looked at; a wrong method on one that does, "
        "a 405.",
    ],
    "MediaMagic": [
        "422 body: {message, errors: [{field, message}]}.",
        "Direct upload answers blobPath, filename, contentType and size.",
        "A part without a content type gets it from the file name; without a known extension it is a 415.",
        "A second upload of the same name gets a number in its blobPath.",
        "Invalid filename (403): empty, over 255 characters, '.', '..', or with a slash, backslash or "
        "control character.",
        "A presigned URL can be used until it expires, also twice; the storage behind it answers like Azure "
        "(201; 400 without x-ms-blob-type; 403 XML; 411 without Content-Length; Put Block and Put Block "
        "List).",
        "A blobPath that is unknown, of another workspace, or without bytes is a 403 'Invalid blob path'; "
        "one that a submission has used, or that is named twice, a 409 'Asset already submitted'.",
        "filename and contentType in an asset, as anything else beside blobPath and previousSubmissionId, "
        "are a 422.",
        "A submission that is refused for one of its assets uses up none of them.",
        "With several assets in the previous submission, the one of the same filename is continued, else "
        "the first; the version is one more than the highest of the group.",
        "There is no list of submissions (405), no upper number of assets, and metadata is not returned.",
        "A submission starts as submitted; uploading never appears. workflowId is null while it is "
        "submitted.",
        "progressPercent is an integer, 0 while submitted, 100 at the end, also of a failure.",
        "errorMessage of a failed submission counts its failed assets.",
        "An asset is processing until it is complete or failed; each ends in its own time, its submission "
        "with the last.",
        "The asset result answers 200 at any time, with issueCount null and no issues until complete.",
        "Issues and topics of a failed asset are a 404 as well.",
        "The issue list is a bare array (an object with 'issues' can be chosen); each issue has a 'rule' "
        "object.",
        "A topic has id, title, severity, issueCount and issues; metadata counts them.",
        "An asset can be retried three times (can be chosen); a retry takes half as long; its scripted "
        "failures are over after the stated number of attempts.",
        "Sandbox keys: uploads are checked and reviewed as with live keys; without a delay the first status "
        "question finds the end.",
        "Rate limits: none unless numbers are given.",
        "Review rules, their codes and their words are made up (mediamagic/rules.py); a document whose text "
        "cannot be read gives one INFO issue that waits for a person.",
        "Subscriptions: http is accepted as well as https when the host is loopback (can be switched off). A "
        "URL without a host is the 400 'missing a delivery destination', all else that is wrong with it a "
        "422. A workspace has at most ten (can be chosen); two for the same URL are two. The list is a bare "
        "array (an object with 'subscriptions' and 'total' can be chosen). PATCH needs 'enabled'. DELETE "
        "answers 403 and 404 as GET does; an id that is no UUID is a 422.",
        "Webhook events: data has submission_id, asset_id, status ('complete' or 'failed') and, for "
        "failures, error_message; nothing else, as nothing else is documented. Ids begin with evt_, those of "
        "attempts with atm_. A retried asset has an event for each of its ends. Several subscriptions get "
        "the same event with the same id. webhook-id is the id of the envelope.",
        "An event goes to the subscriptions that are enabled at that moment; it is not kept for later ones. "
        "What waits for a subscription that is then disabled or deleted is not sent. Submissions of sandbox "
        "keys have events at their end like any other.",
        "Timestamp in the envelope: when the asset ended. webhook-timestamp: when the attempt was made, by "
        "the wall clock also where a test has skipped time, because receivers compare it with theirs.",
        "Deliveries start at once, 50 at a time for a subscription, without a promise of order. Only a 2xx "
        "within 15 real seconds is a success; redirects are not followed. Another attempt comes after 5, 30, "
        "120, 600 and 1800 vendor seconds (timeout and schedule can be chosen), then none. Failures do not "
        "disable a subscription.",
        "Delivery attempts are listed newest first, when they are over, as SUCCESSFUL or FAILED; "
        "responseStatus is null without an answer. status_filter takes these words in any case; another "
        "word finds nothing.",
        "The sandbox event needs no particular state of the submission; its errorMessage is ignored for "
        "completed. 'dispatched' also counts what a fault then loses.",
    ],
    "Silent Witness": [
        "X-Request-ID comes back as a header on every answer, and as request_id in errors.",
        "Codes not in the documentation: case_invalid_body, case_field_required, case_field_invalid, "
        "case_not_found, vehicle_role_invalid, occupant_field_invalid, too_many_occupants, file_not_found, "
        "file_access_denied, file_category_invalid, photo_limit_reached, report_invalid_body, "
        "report_type_missing, report_type_invalid, report_options_invalid, report_not_found, "
        "report_not_cancellable, report_prerequisites_not_met, invalid_parameter, not_found, "
        "method_not_allowed, permission_denied.",
        "A case, report or its rows of another account read as unknown; a file or organization as 403.",
        "POST /api/cases answers with the three fields of its sample; PUT with the whole case as {case}.",
        "PUT matches vehicles by role and leaves the others; the occupants that are sent replace all.",
        "A file for a vehicle that is not there yet is linked when the vehicle comes.",
        "Lists are newest first, except organizations and files, which are oldest first.",
        "A category that is left out follows from the content: photo, or EDR report for a PDF; an unknown "
        "one is a 400, and so is content that the category does not take.",
        "The 21st photo of a vehicle is a 400. A file is ready after two seconds.",
        "File links live one hour, as those of reports. /download gives the bytes, with the key, as an "
        "attachment.",
        "Listing the files or reports of an unknown case gives an empty list.",
        "The prerequisites hold for demo data too (the need for photos can be switched off); defendant "
        "evidence is optional; a TCR stands in for the accident date.",
        "A report works on the case as it was when ordered. Several reports may run on one case.",
        "GET /api/reports/<case id> gives its newest report.",
        "Cancelling what is failed or already cancelled is a 400, as for completed.",
        "A report takes 120 to 300 seconds by the name and analysis type of its case, demo data 30 to 60.",
        "It fails by itself only when every file on the plaintiff vehicle has 'blurry' in its name.",
        "The links to a report are signed at each GET; the two files are made once and stay the same.",
        "The PDF shows characters outside Latin-1 as question marks; the DOCX shows all.",
        "A key without a plan, or forbidden, is a 403; an expired or revoked one a 401.",
    ],
}
